"""Tables of a profile: whatever they say is TOML, comes back, and is of no matter to a study."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.test_routing_profile import _fit
from traces import evidence, profiles
from traces.routing_profile import correlation, document

NASTY = 'a "name" with \\ and \n\t """ and \x7f'


def test_what_is_said_comes_back() -> None:
    rows = [{"figure": NASTY, "value": 1 / 3, "none": None}, {"figure": "b", "value": float("nan"), "yes": True}]
    said = {"how": NASTY, "requests": 480, "small": -1e-9, "list": [1, 2.5]}
    back = tomllib.loads(evidence.table("held_out", said, rows))["held_out"]
    assert {key: back[key] for key in said} == said
    assert back["rows"][0] == {"figure": NASTY, "value": 0.3333}
    assert back["rows"][1]["yes"] is True
    assert np.isnan(back["rows"][1]["value"])


def test_a_profile_reads_with_its_evidence_and_with_any_name(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    text = document(_fit(), id=NASTY, title=NASTY, source=NASTY, limits=NASTY)
    path.write_text(text + "\n" + evidence.table("held_out", {"how": "so"}, [{"figure": "x"}]))
    profile = profiles.load(str(path))
    assert (profile.id, profile.title) == (NASTY, " ".join(NASTY.split()))
    assert "held_out" not in profile.numbers
    assert profiles.digest(str(path)) != profiles.digest("gpt-oss-20b")


def test_the_correlation_is_that_of_the_layers_that_have_both() -> None:
    """Layer 0 has no section and no stickiness, layer 1 no background; concentrations fall with the fit's parts."""
    fit = _fit()
    covariance = np.diag(np.diag(fit.covariance)).copy()
    covariance[1, 2] = covariance[2, 1] = 0.5 * np.sqrt(
        covariance[1, 1] * covariance[2, 2]
    )  # topic, background: layer 0
    covariance[6, 8] = covariance[8, 6] = 0.25 * np.sqrt(covariance[6, 6] * covariance[8, 8])  # topic, section: layer 1
    found = correlation(type(fit)(**{**fit.__dict__, "covariance": covariance}))
    assert found[0, 1] == pytest.approx(-0.5)
    assert found[0, 2] == pytest.approx(0.25)
    assert np.isnan(found[1, 2])
    np.testing.assert_allclose(np.diag(found), 1)
