"""`trace fit` on routing: a synthesised trace gives its profile back, and held-out requests say how well."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.described_traces import routed as stored
from tests.statistics import all_within, refused
from tests.test_cli import contents, invoke, tiny, words
from traces import fitted_routing, held_out_routing, profiles
from traces.fit_routing import Simulation
from traces.fitted_routing import fitted
from traces.held_out_routing import folds
from traces.store import Trace

TRUTH = """
kind = "routing"
title = "known"
experts = 16
top_k = 2
skew = [0.7, 1.3]
concentration = [15.0, 7.0]
background = [0.12, 0.25]
section_concentration = [19.0, 11.0]
section_tokens = 10.0
stickiness = [0.10, 0.35]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with truth.toml, a trace of it, the profile fitted to that, and what the fit printed as JSON."""
    folder = tmp_path_factory.mktemp("routing")
    (folder / "truth.toml").write_text(TRUTH)
    argv = ["--requests", "500", "--tokens", "112", "--seed", "3", "--out", str(folder / "trace")]
    found = invoke("trace", "synthesise", str(folder / "truth.toml"), *argv)
    assert (found.code, found.err) == (0, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitted_routing, "SIMULATION", Simulation(512))
        patch.setattr(held_out_routing, "TRAINING", Simulation(320, seed=11))
        patch.setattr(held_out_routing, "PREDICTION", Simulation(512, seed=12))
        found = invoke("trace", "fit", str(folder / "trace"), "--out", str(folder / "own.toml"), "--json")
    assert (found.code, found.err) == (0, "")
    (folder / "said.json").write_text(found.out)
    return folder


@pytest.fixture(scope="module")
def profile(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "own.toml").read_text())


def test_what_was_synthesised_is_found_within_its_errors(profile: dict[str, Any]) -> None:
    """Every parameter; those of the other layer are refused."""
    truth, errors = tomllib.loads(TRUTH), profile["standard_errors"]
    for name, largest in (("concentration", 3.0), ("background", 0.08), ("section_concentration", 4.0)):
        all_within(profile[name], truth[name], errors[name], largest=largest)
    given = (profile["stickiness"], truth["stickiness"], errors["stickiness"])
    all_within(*given, largest=0.03)
    refused(all_within, given[0], given[1][::-1], given[2], largest=0.03)
    refused(all_within, profile["concentration"], truth["concentration"][::-1], errors["concentration"], largest=3.0)
    all_within(profile["section_tokens"], 10.0, errors["section_tokens"], largest=4.0)


def test_the_profile_says_what_it_was_fitted_to(folder: Path, profile: dict[str, Any]) -> None:
    trace = Trace.open(folder / "trace")
    assert profile["fitted_to"] == {"trace": trace.digest, "requests": 500, "tokens": 56_000, "layers": 2}
    assert profile["id"] == "own"
    assert trace.digest in profile["source"]
    correlation = np.asarray(profile["correlation"]["matrix"])
    np.testing.assert_array_equal(np.diag(correlation), 1)
    np.testing.assert_array_equal(correlation, correlation.T)
    assert profile["correlation"]["names"] == ["concentration", "background", "section_concentration", "stickiness"]
    assert profiles.load(str(folder / "own.toml")).kind == "routing"


def test_held_out_requests_are_predicted_and_by_popularity_they_are_not(profile: dict[str, Any]) -> None:
    rows = {row["figure"]: row for row in profile["held_out"]["rows"]}
    assert {f"distinct of {n} tokens" for n in (2, 4, 8, 16, 32)} <= set(rows)
    assert {f"overlap at lag {n}" for n in (1, 2, 8, 32)} <= set(rows)
    assert {f"{b} requests x {n} token{'s' * (n > 1)}" for b in (4, 16) for n in (1, 2, 4, 8)} <= set(rows)
    for figure, row in rows.items():
        overlap = figure.startswith("overlap")
        assert abs(row["error"]) <= (0.02 if overlap else 0.03), figure
        if overlap:
            assert row["error"] == pytest.approx(row["predicted"] - row["held_out"], abs=1e-3)
        else:
            assert row["error"] == pytest.approx(row["predicted"] / row["held_out"] - 1, abs=1e-3)
    assert rows["distinct of 8 tokens"]["popularity"] > 0.1
    assert rows["distinct of 8 tokens"]["uniform"] > rows["distinct of 8 tokens"]["popularity"]
    assert rows["overlap at lag 1"]["popularity"] < -0.1
    assert 0 < rows["distinct of 8 tokens"]["se"] < 0.1


def test_json_holds_what_the_profile_holds(folder: Path, profile: dict[str, Any]) -> None:
    said = json.loads((folder / "said.json").read_text())
    assert set(said) == {"profile", "kind", "answer", "estimates", "held_out", "other_lengths", "notes"}
    assert (said["kind"], said["other_lengths"]) == ("routing", [])
    assert [row["figure"] for row in said["held_out"]] == [row["figure"] for row in profile["held_out"]["rows"]]
    assert said["estimates"][0]["mean"] == pytest.approx(profile["section_tokens"], abs=0.01)
    assert "500 requests, 56,000 tokens" in said["answer"][0]


def test_a_study_takes_the_profile(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.page.render", lambda folder: [])
    found = invoke(*tiny(tmp_path / "out", "--quiet", routing=str(folder / "own.toml")))
    assert found.code == 0, found.err
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert (results["distinct_experts"] < results["distinct_experts_uniform"]).any()


def test_the_trace_is_a_trace_like_others(folder: Path, tmp_path: Path) -> None:
    """Described and exported."""
    found = invoke("trace", "describe", str(folder / "trace"), "--out", str(tmp_path / "d"))
    assert found.code == 0, found.err
    found = invoke("trace", "export", str(folder / "trace"), "--out", str(tmp_path / "f.parquet"))
    assert "224,000 rows" in words(found.out)


def test_requests_of_a_category_are_dealt_evenly() -> None:
    category = np.random.default_rng(0).integers(0, 5, 203)
    half = folds(category, 2)
    assert abs(int((half == 0).sum()) - int((half == 1).sum())) <= 1
    for one in range(5):
        counts = np.bincount(half[category == one], minlength=2)
        assert abs(int(counts[0]) - int(counts[1])) <= 1


def test_progress_reaches_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for module, name in (
        (fitted_routing, "SIMULATION"),
        (held_out_routing, "TRAINING"),
        (held_out_routing, "PREDICTION"),
    ):
        monkeypatch.setattr(module, name, Simulation(64))
    fitted(Trace.open(folder / "trace"), "x", lambda *said: told.append(said))
    simulated = [(done, total) for what, done, total in told if what == "simulating"]
    assert simulated == [(done, fitted_routing.SIMULATIONS) for done in range(fitted_routing.SIMULATIONS)]


def test_an_interrupt_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitted_routing, "fit", stopped)
    found = invoke("trace", "fit", str(folder / "trace"), "--out", str(tmp_path / "p.toml"))
    assert found.code == 130
    assert contents(tmp_path) == {}


def test_too_little_is_refused(tmp_path: Path) -> None:
    """19 requests that are long enough beside many that are not; and a model that uses all its experts."""
    random = np.random.default_rng(0)

    def ids(tokens: int, experts: int = 8) -> np.ndarray:
        return np.argsort(random.random((tokens, 2, experts)), axis=2)[:, :, :2]

    few = stored(tmp_path / "few", [*(ids(65) for _ in range(19)), *(ids(64) for _ in range(40))], 8)
    one = stored(tmp_path / "one", [ids(500)], 8)
    full = stored(tmp_path / "full", [ids(70, 2) for _ in range(30)], 2)
    for trace, said in (
        (few, "19 requests of more than 64 tokens"),
        (one, "1 requests of more"),
        (full, "all its 2 exp"),
    ):
        found = invoke("trace", "fit", str(trace), "--out", str(tmp_path / "p.toml"))
        assert (found.code, said in found.err, len(found.err.splitlines())) == (2, True, 1), found.err
    assert not (tmp_path / "p.toml").exists()
