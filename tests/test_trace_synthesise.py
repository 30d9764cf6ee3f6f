"""`trace synthesise`: the sampler's own words on disk, of any profile, and what is refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from montecarlo.difficulty import Difficulty
from tests.statistics import all_within, refused
from tests.test_cli import contents, invoke
from traces import by_depth, profiles, replay
from traces.store import Trace
from traces.synthesise import synthesise
from traces.synthesise_steps import steps

DIFFICULT = 'kind = "difficulty"\noffsets = [1.5, 0.5]\nshort_sd = 1.0\nlength_slope = 0.5\ntypical_tokens = 900.0\n'
BY_DEPTH = 'kind = "acceptance"\nhazard = [0.8, 0.5, 1.0]\n'


def made(folder: Path, profile: str, requests: int, tokens: int, *more: str) -> Trace:
    argv = ["--requests", str(requests), "--tokens", str(tokens), "--out", str(folder), *more]
    found = invoke("trace", "synthesise", profile, *argv)
    assert (found.code, found.err) == (0, ""), found.err
    assert f"{requests:,} requests of {tokens:,} tokens" in found.out
    return Trace.open(folder)


def test_routing_is_the_samplers_own_and_more_leaves_what_is_there(tmp_path: Path) -> None:
    few = made(tmp_path / "few", "gpt-oss-20b", 66, 20, "--seed", "5")
    process = profiles.routing(profiles.load("gpt-oss-20b"), layers=24, experts=32, top_k=4)
    expected = np.concatenate([block.reshape(-1, 24, 4) for block in synthesise(process, 66, 20, 5)])
    np.testing.assert_array_equal(few.experts, expected)
    np.testing.assert_array_equal(few.start, np.arange(0, 66 * 20 + 1, 20))
    tokens = few.frame("tokens").collect()
    assert set(tokens["phase"]) == {"decode"}
    assert tokens["position"].to_list() == list(range(20)) * 66
    assert few.info["synthesised"] == {"profile": "gpt-oss-20b", "kind": "routing", "tokens": 20, "seed": 5}
    assert few.info["experts_known"]
    more = made(tmp_path / "more", "gpt-oss-20b", 70, 20, "--seed", "5")
    np.testing.assert_array_equal(more.experts[: 66 * 20], expected)
    other = made(tmp_path / "other", "gpt-oss-20b", 66, 20, "--seed", "6")
    assert not np.array_equal(other.experts, expected)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made(tmp_path / name, "gpt-oss-20b", 3, 20)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_target_has_its_own_experts_and_groups(tmp_path: Path) -> None:
    """DeepSeek-V3: 58 MoE layers, top 8 of 256 experts in at most 4 of 8 groups; without groups most use more."""
    ids = made(tmp_path / "t", "gpt-oss-20b", 2, 12, "--target", "deepseek-v3").experts
    assert ids.shape == (24, 58, 8)
    assert ids.dtype == np.uint16

    def groups(rows: np.ndarray) -> np.ndarray:
        return np.array([len(set(row)) for row in (rows // 32).reshape(-1, 8)])

    assert groups(ids).max() <= 4
    process = profiles.routing(profiles.load("gpt-oss-20b"), layers=58, experts=256, top_k=8)
    assert groups(next(iter(synthesise(process, 2, 12, 0)))).max() > 4


def test_a_replay_takes_it(tmp_path: Path) -> None:
    made(tmp_path / "t", "gpt-oss-20b", 3, 20)
    text, notes = replay.read(tmp_path / "t", layers=24, experts=32, top_k=4)
    assert (text.requests, text.lengths.tolist(), notes) == (3, [20, 20, 20], [])
    assert replay.holds(tmp_path / "t") == {"routing"}
    (tmp_path / "p.toml").write_text(BY_DEPTH)
    made(tmp_path / "a", str(tmp_path / "p.toml"), 64, 100, "--draft-length", "3")
    law, _ = by_depth.acceptance(tmp_path / "a")
    np.testing.assert_allclose(law.hazards, [0.8, 0.5, 1.0], atol=0.05)


def test_steps_are_a_walk_over_each_text(tmp_path: Path) -> None:
    """Of a request of typical length, whatever the length asked for."""
    (tmp_path / "p.toml").write_text(DIFFICULT)
    trace = made(tmp_path / "t", str(tmp_path / "p.toml"), 70, 40, "--draft-length", "3", "--seed", "7")
    held = trace.frame("steps").collect()
    process = Difficulty.of([1.5, 0.5], short_sd=1.0)
    for block, first in ((0, 0), (1, 64)):
        log = steps(process, requests=64, tokens=40, draft_length=3, seed=7, world=block)
        here = held.filter(pl.col("request").is_between(first, first + 63))
        count = len(here)
        assert (block == 0) == (count == len(log.request))
        np.testing.assert_array_equal(here["request"], log.request[:count] + first)
        np.testing.assert_array_equal(here["accepted"], log.accepted[:count])
        np.testing.assert_array_equal(here["cut"], log.cut[:count])
    assert set(held["drafted"]) == {3}
    emitted = held.group_by("request").agg((pl.col("accepted") + 1).sum())["accepted"]
    assert set(emitted) == {39}  # every token but the first, once
    assert held.filter(request=3)["step"].to_list() == list(range(len(held.filter(request=3))))
    assert held["request"].max() == 69
    assert trace.frame("requests").collect()["request"].to_list() == list(range(70))
    assert trace.info["synthesised"]["draft_length"] == 3


def test_acceptance_by_depth_has_its_hazards(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(BY_DEPTH)
    trace = made(tmp_path / "t", str(tmp_path / "p.toml"), 128, 100, "--draft-length", "5")
    held = trace.frame("steps").collect().filter(~pl.col("cut"))
    accepted = held["accepted"].to_numpy()
    risk = np.array([(accepted >= d - 1).sum() for d in (1, 2)])
    hazard = np.array([(accepted >= d).sum() for d in (1, 2)]) / risk
    truth = np.array([0.8, 0.5])
    error = np.sqrt(truth * (1 - truth) / risk)
    all_within(hazard, truth, error, largest=0.01)
    refused(all_within, hazard, truth[::-1], error, largest=0.01)
    assert not np.isin(accepted, [2, 3, 4]).any()  # the last hazard is kept beyond depth 3


def test_long_texts_that_would_not_fit_are_refused(tmp_path: Path) -> None:
    argv = ["--requests", "1", "--tokens", "9000", "--target", "deepseek-v4-flash", "--out", str(tmp_path / "t")]
    found = invoke("trace", "synthesise", "gpt-oss-20b", *argv)
    assert (found.code, "at most 8,128" in found.err) == (2, True), found.err
    assert contents(tmp_path) == {}


def test_notes_name_the_profile_and_its_limits(tmp_path: Path) -> None:
    made(tmp_path / "t", "gpt-oss-20b", 1, 20)
    notes = json.loads((tmp_path / "t" / "trace.json").read_text())["notes"]
    assert notes[0].startswith("Synthesised from profile gpt-oss-20b, topical-sticky routing of gpt-oss-20b")
