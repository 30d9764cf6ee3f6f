"""Routing profiles: written and read back, and carried over to other models as documented."""

from pathlib import Path

import numpy as np
import pytest

from montecarlo import exact
from montecarlo.routing import Routing
from traces import profiles
from traces.fit import power_popularity
from traces.fit_routing import Fit, Parameters
from traces.routing_profile import document

LAYER = np.array([[0.1, 0.05, 0.2, 0.0, 0.0], [0.0, 0.1, 0.0, 0.08, 0.3]])  # tilt, topic, background, section, sticky


def _fit() -> Fit:
    """A fit of two layers, 12 experts, top 3, whose errors are .01, .02, .. in the order of its parameters."""
    weights = np.stack([power_popularity(skew, 12)[::-1] for skew in (1.0, 1.8)])
    nothing = np.zeros((1, 2))
    return Fit(
        parameters=Parameters(weights, LAYER, 7.5, 3),
        covariance=np.diag(np.arange(1, 12) / 100) ** 2,
        slopes=np.zeros((1, 2, 6)),
        measured=nothing,
        fitted=nothing,
        load=nothing,
        share_error=nothing,
    )


@pytest.fixture
def written(tmp_path: Path) -> str:
    path = tmp_path / "own.toml"
    path.write_text(document(_fit(), id="own", title="two layers", source="a test\nof two lines", limits="none"))
    return str(path)


def _shares(process: Routing) -> np.ndarray:
    """Weights [L, E] of the process's alias tables."""
    accept, alias = np.asarray(process.accept, np.float64), np.asarray(process.alias)
    mass = accept.copy()
    for layer in range(len(mass)):
        np.add.at(mass[layer], alias[layer], 1 - accept[layer])
    return mass / mass.sum(axis=1, keepdims=True)


def test_a_written_profile_reads_back_as_the_process(written: str) -> None:
    profile = profiles.load(written)
    assert (profile.kind, profile.id, profile.source) == ("routing", "own", "a test of two lines")
    process = profiles.routing(profile, layers=2, experts=12, top_k=3)
    np.testing.assert_allclose(process.concentration, [19, 9], rtol=1e-6)
    np.testing.assert_allclose(process.background, [0.2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(process.section_concentration, [1e30, 11.5], rtol=1e-6)
    np.testing.assert_allclose(process.stickiness, [0.0, 0.3], rtol=1e-6)
    assert float(process.section_end) == pytest.approx(1 / 7.5)
    known = np.sort(_fit().parameters.weights)[:, ::-1]
    np.testing.assert_allclose(_shares(process), known, atol=2e-4)
    errors = profile.numbers["standard_errors"]
    np.testing.assert_allclose(errors["concentration"], [0.02 / 0.05**2, 0.07 / 0.1**2])
    np.testing.assert_allclose(errors["background"], [0.03, np.nan])
    np.testing.assert_allclose(errors["section_concentration"], [np.nan, round(0.09 / 0.08**2, 1)])
    np.testing.assert_allclose(errors["stickiness"], [np.nan, 0.1])
    assert errors["section_tokens"] == pytest.approx(0.11 * 7.5, abs=0.01)


def test_carried_over_it_keeps_what_it_says(written: str) -> None:
    """24 experts, top 5, four layers: each layer twice, weights by relative rank, concentrations per expert."""
    profile = profiles.load(written)
    own = profiles.routing(profile, layers=2, experts=12, top_k=3)
    process = profiles.routing(profile, layers=4, experts=24, top_k=5)
    assert process.top_k == 5
    np.testing.assert_allclose(process.concentration, [38, 38, 18, 18], rtol=1e-6)
    np.testing.assert_allclose(process.section_concentration[2:], 23, rtol=1e-6)
    np.testing.assert_allclose(process.stickiness, [0, 0, 0.3, 0.3], rtol=1e-6)
    fine, coarse = _shares(process)[::2], _shares(own)
    # experts 2 i and 2 i + 1 lie a quarter of a rank to either side of expert i; their logs are interpolated
    between = 0.75 * np.log(coarse[:, :-1]) + 0.25 * np.log(coarse[:, 1:])
    offset = np.log(fine[:, 1:-1:2]) - between
    np.testing.assert_allclose(offset, np.broadcast_to(offset[:, :1], offset.shape), atol=1e-5)
    assert np.all(np.diff(fine, axis=1) <= 1e-9)
    assert np.all(np.isfinite(exact.inclusion(fine, 5)))


@pytest.mark.parametrize(
    ("layers", "experts", "top_k"), [(36, 128, 4), (43, 256, 6), (4, 8, 2), (58, 256, 8), (2, 512, 10)]
)
def test_every_shipped_profile_carries_over_to_other_models(layers: int, experts: int, top_k: int) -> None:
    routings = [profile for name in profiles.shipped() if (profile := profiles.load(name)).kind == "routing"]
    assert {"gpt-oss-20b", "qwen3.6-35b-a3b-routing"} <= {profile.id for profile in routings}
    for profile in routings:
        process = profiles.routing(profile, layers=layers, experts=experts, top_k=top_k)
        assert process.accept.shape == (layers, experts)
        assert profile.source
        assert profile.limits
