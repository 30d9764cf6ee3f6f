"""`trace fit` on acceptance: a synthesised log gives its process back; cut steps are censored; other lengths."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from tests.described_traces import logged, stepped
from tests.statistics import all_within, mean_and_error, refused, within
from tests.test_cli import invoke, words
from traces import fit_acceptance, held_out_acceptance, other_lengths
from traces.fit_acceptance import Fit, names_of
from traces.fitted_acceptance import step_log
from traces.held_out_acceptance import held_out
from traces.lanes import Lanes
from traces.step_log import StepLog
from traces.store import Trace
from traces.synthesise_steps import steps

TRUTH = """
kind = "difficulty"
title = "known"
offsets = [2.2, 1.2]
request_sd = 0.5
short_sd = 0.9
short_tokens = 2.5
slow_sd = 0.6
slow_tokens = 50.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a synthesised trace, the profile fitted to it, and what the fit printed."""
    folder = tmp_path_factory.mktemp("acceptance")
    (folder / "truth.toml").write_text(TRUTH)
    argv = ["--requests", "400", "--tokens", "200", "--draft-length", "2", "--out", str(folder / "trace")]
    found = invoke("trace", "synthesise", str(folder / "truth.toml"), *argv)
    assert (found.code, found.err) == (0, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_acceptance, "STARTS", fit_acceptance.STARTS[:1])
        patch.setattr(fit_acceptance.fit, "__defaults__", (fit_acceptance.STARTS[:1],))
        patch.setattr(held_out_acceptance, "REPLICATES", 20)
        patch.setattr(held_out_acceptance, "ENOUGH", 400)
        patch.setattr("traces.fitted_acceptance.FOLDS", 2)
        found = invoke("trace", "fit", str(folder / "trace"), "--out", str(folder / "own.toml"))
    assert (found.code, found.err) == (0, "")
    (folder / "said").write_text(found.out)
    return folder


@pytest.fixture(scope="module")
def profile(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "own.toml").read_text())


def test_what_was_synthesised_is_found_within_its_errors(profile: dict[str, Any]) -> None:
    truth, errors = tomllib.loads(TRUTH), profile["standard_errors"]
    names = ("request_sd", "short_sd", "slow_sd")
    values = [*profile["offsets"], *(profile[name] for name in names)]
    spread = [errors[name] for name in ("offset_1", "offset_2", *names)]
    known = [*truth["offsets"], *(truth[name] for name in names)]
    all_within(values, known, spread, largest=0.5)
    for at in range(2):
        refused(all_within, values, np.add(known, 2.5 * (np.arange(5) == at)), spread, largest=0.5)
    times = [np.log(profile[name] / truth[name]) for name in ("short_tokens", "slow_tokens")]
    all_within(times, [0, 0], [errors["short_tokens"], errors["slow_tokens"]], largest=0.8)


def test_the_profile_and_the_screen_say_how_well_it_is_known(folder: Path, profile: dict[str, Any]) -> None:
    assert profile["fitted_to"]["requests"] == 400
    assert profile["fitted_to"]["trace"] == Trace.open(folder / "trace").digest
    rows = {row["figure"]: row for row in profile["held_out"]["rows"]}
    known = ["survival at depth 1", "survival at depth 2", "ICC by request", "lag-1 autocorrelation"]
    assert list(rows) == [*known, "variance over 32 steps"]
    assert all(abs(row["z"]) < 4 for row in rows.values())
    lengths = profile["other_lengths"]["rows"]
    assert [row["draft_length"] for row in lengths] == list(range(1, 9))
    assert [row["drafted"] for row in lengths] == [True] * 2 + [False] * 6
    width = [row["high"] - row["low"] for row in lengths]
    assert width[7] > 3 * width[1]  # little is known of lengths that were never drafted
    assert profile["other_lengths"]["correlation_of_decay_and_difficulty"] > 0.5
    said = words((folder / "said").read_text())
    for part in (
        "400 requests",
        "trade off",
        "at the drafted length, 2",
        "This log cannot tell which",
        "may have been cut",
    ):
        assert part in said


def test_a_wrong_process_fails_on_held_out_requests(folder: Path) -> None:
    """The negative control: a fit told that there is no difficulty misses the ICC and the variance."""
    log = step_log(Trace.open(folder / "trace"))[0]
    theta = np.array([1.4, 1.0, 0, 0, 0, np.log(2.0), np.log(40.0), 0])
    flat = Fit(names_of(2), theta, np.zeros((8, 8)), np.zeros((8, 8)), 0.0, 199.0, log.requests, len(log.request))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out_acceptance, "estimate", lambda likelihood, begin, weight: theta)
        patch.setattr(held_out_acceptance, "REPLICATES", 20)
        patch.setattr(held_out_acceptance, "ENOUGH", 400)
        rows = {row.figure: row for row in held_out(log, flat, np.arange(400) % 2)}
    assert rows["ICC by request"].z < -4
    assert rows["variance over 32 steps"].z < -4


def test_cut_steps_are_censored_not_dropped_and_not_rejected(tmp_path: Path) -> None:
    """Texts so short that every fourth step is cut; acceptance 0.7 at both depths."""
    logit = float(np.log(0.7 / 0.3))
    log = steps(Difficulty.of([logit, logit]), requests=1500, tokens=8, draft_length=2, seed=4)
    begins = np.flatnonzero(np.diff(log.request, prepend=-1))
    turns = [[part.tolist()] for part in np.split(log.accepted, begins[1:])]
    folder = stepped(tmp_path / "t", logged(turns, 2))
    read, notes = step_log(Trace.open(folder))
    assert int(read.cut.sum()) == 1500
    assert any("1,500 steps end a text" in note for note in notes)

    def accepted(log: StepLog) -> tuple[float, float]:
        """Share of the decided drafts that were accepted, as the likelihood counts them, and its error."""
        lanes = Lanes.of(log)
        decided = lanes.outcome[lanes.outcome >= 0]
        share = float(decided.mean())
        return share, float(np.sqrt(share * (1 - share) / decided.size))

    as_rejected = StepLog.of(request=read.request, drafted=read.drafted, accepted=read.accepted)
    dropped = StepLog.of(
        request=np.unique(read.request[~read.cut], return_inverse=True)[1],
        drafted=read.drafted[~read.cut],
        accepted=read.accepted[~read.cut],
    )
    assert accepted(as_rejected)[0] < accepted(dropped)[0] < accepted(read)[0]
    within(accepted(read)[0], 0.7, accepted(read)[1], largest=0.01)
    refused(within, accepted(as_rejected)[0], 0.7, accepted(as_rejected)[1], largest=0.01)


def _refusal(tmp_path: Path, turns: Any, drafted: Any = 3, **more: Any) -> str:
    folder = stepped(tmp_path / "t", logged(turns, drafted, **more))
    found = invoke("trace", "fit", str(folder), "--out", str(tmp_path / "p.toml"))
    assert (found.code, len(found.err.splitlines())) == (2, 1), found.err
    assert not (tmp_path / "p.toml").exists()
    return found.err


@pytest.mark.parametrize(
    ("turns", "drafted", "said"),
    [
        ([[[1, 0, 2]]] * 19, 3, "steps of 19 requests, and a fit and its errors need 20"),
        ([[[1, 0, 2]]], 3, "steps of 1 requests"),
        ([[[0, 0, 0]]] * 30, 3, "no draft was ever accepted"),
        ([[[0, 0, 0]]] * 30, 0, "no step drafted anything"),
        ([[[3, 3, 1]]] * 30, 3, "no draft was ever rejected"),
        ([[[0, 0]]] * 3, 3, "3 requests, and a fit and its errors need 20; no draft was ever accepted"),
    ],
)
def test_logs_that_say_too_little_are_refused(tmp_path: Path, turns: Any, drafted: int, said: str) -> None:
    assert said in _refusal(tmp_path, turns, drafted)


def test_depths_that_no_step_decides_are_left_out(tmp_path: Path) -> None:
    """Nobody accepted 2 of 5, so the third draft was never decided."""
    folder = stepped(tmp_path / "t", logged([[[1, 0, 1, 1, 0]]] * 25, 5))
    log, notes = step_log(Trace.open(folder))
    assert log.draft_length == 2
    assert any("deeper than 2" in note for note in notes)


def _known(depths: int = 2) -> Fit:
    """offsets 2, 1, short_sd 1; offset_1 and short_sd known to .3 and .2, correlated by .5."""
    theta = np.array([2.0, 1.0, 0.0, 1.0, 0.0, np.log(3.0), np.log(60.0), 0.0])
    covariance = np.full((8, 8), np.nan)
    known = [0, 1, 3]
    covariance[np.ix_(known, known)] = np.diag([0.09, 1e-12, 0.04])
    covariance[0, 3] = covariance[3, 0] = 0.5 * 0.3 * 0.2
    return Fit(names_of(2), theta, covariance, covariance, 0.0, 300.0, 50, 900)


def test_decay_and_difficulty_correlate_as_their_covariance_says() -> None:
    assert other_lengths.correlation(_known()) == pytest.approx(0.5)
    flat = _known()
    flat.theta[3] = 0
    assert other_lengths.correlation(flat) is None


def test_other_lengths_are_those_of_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens per step against logs walked separately at each length; where nothing is unsure, no width."""
    monkeypatch.setattr(other_lengths, "DRAWS", 30)
    monkeypatch.setattr(other_lengths, "LENGTHS", 4)
    found = _known()
    rows = other_lengths.other_lengths(found)
    assert [row.draft_length for row in rows] == list(range(1, 6))  # three past the deepest drafted
    for k in (2, 5):
        log = steps(found.process, requests=200, tokens=512, draft_length=k, seed=9)
        of_request = log.tokens / np.bincount(log.request)
        error = mean_and_error(of_request)[1]
        total = log.tokens.sum() / len(log.request)
        within(rows[k - 1].tokens_per_step, float(total), float(error) * 2, largest=0.06)
        assert rows[k - 1].low < rows[k - 1].tokens_per_step < rows[k - 1].high
    assert rows[1].if_falling is None
    assert rows[4].if_falling is not None
    assert rows[4].if_falling < rows[4].tokens_per_step - 0.1  # a logit a depth
    sure = np.where(np.isnan(found.sandwich), np.nan, 0.0)
    certain = Fit(found.names, found.theta, sure, sure, 0.0, 300.0, 50, 900)
    for row in other_lengths.other_lengths(certain):
        assert row.low == row.high == row.tokens_per_step


def test_what_to_fit_must_be_there_and_be_named_if_there_is_a_choice(tmp_path: Path) -> None:
    from traces.fitted import chosen

    class Held:
        folder = Path("t")

        def __init__(self, *held: str) -> None:
            self.held = held

        def has(self, name: str) -> bool:
            return name in self.held

    def say(what: str | None, *held: str) -> str:
        try:
            return chosen(Held(*held), what)  # type: ignore[arg-type]
        except InputError as error:
            return str(error)

    assert say(None, "experts") == say("routing", "experts", "steps") == "routing"
    assert say(None, "steps") == say("acceptance", "experts", "steps") == "acceptance"
    assert "add --what routing or --what acceptance" in say(None, "experts", "steps")
    assert "popularity only" in say(None, "counts")
    assert "no acceptance" in say(None, "counts")
    assert "acceptance as shares only" in say("acceptance", "curves", "experts")
    assert "no routing" in say("routing", "steps")
    assert "--what drafts" in say("drafts", "steps")


def test_json(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not determined is null, not NaN."""
    from traces import fitted_acceptance

    unsure = _known()
    monkeypatch.setattr(fitted_acceptance, "fit", lambda log: unsure)
    monkeypatch.setattr(fitted_acceptance, "held_out", lambda *given: [])
    monkeypatch.setattr(other_lengths, "DRAWS", 30)
    found = invoke("trace", "fit", str(folder / "trace"), "--out", str(tmp_path / "p.toml"), "--json")
    assert (found.code, found.err) == (0, "")
    said = json.loads(found.out)
    rows = {row["parameter"]: row for row in said["estimates"]}
    assert rows["short_tokens"] == {"parameter": "short_tokens", "estimate": pytest.approx(3.0), "se": None}
    assert rows["offset_1"]["se"] == pytest.approx(0.3)
    assert any("Not determined" in sentence for sentence in said["answer"])
