"""The study optimal-k: what may change without changing a number."""

import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from studies import config, optimal_k, scenario, surfaces
from studies.results import Results
from studies.tasks import Arrays
from tests.test_cli import Outcome, invoke, sets

KEY = ["scenario", "batch", "context_tokens", "draft_length"]
SHARED = ["tokens_per_step", "step_seconds", "speedup", "distinct_experts", "distinct_experts_uniform", "p_loss"]
WORLDS = 20  # more than 8, so that another order of summation would show


def simulated(trace: Path | None = None, **keys: str) -> tuple[Results, dict[str, Arrays]]:
    """A study and its blocks, without a folder; the target is small and the requests are few."""
    given = {"target": "olmoe-1b-7b", "world_requests": "24", "worlds": str(WORLDS)} | keys
    options = {"trace": None if trace is None else str(trace)}
    resolved = scenario.fill(
        "optimal-k", config.resolve("optimal-k", None, [f"{key}={value}" for key, value in given.items()], options)
    )
    listed = optimal_k.tasks(resolved, resolved.worlds)
    done = {task.name: task.function(*task.arguments) for task in listed}
    return optimal_k.conclude(resolved, resolved.worlds, done, {}), done


def studied(trace: Path | None = None, **keys: str) -> Results:
    return simulated(trace, **keys)[0]


BASE = {"batch": "[1, 4]", "draft_length": "[0, 1, 2]", "context_tokens": "[1024, 4096]"}


@pytest.fixture(scope="module")
def base() -> Results:
    return studied(**BASE)


def same_in_shared_cells(one: Results, other: Results) -> None:
    """Bit for bit the same, in every cell that both have."""
    left = one["results"].join(other["results"].select(KEY), on=KEY, how="semi").sort(KEY).select(*KEY, *SHARED)
    right = other["results"].join(one["results"].select(KEY), on=KEY, how="semi").sort(KEY).select(*KEY, *SHARED)
    assert left.height == min(one["results"].height, other["results"].height)
    assert_frame_equal(left, right, check_exact=True)


@pytest.mark.parametrize(
    "grown",
    [
        {"batch": "[1, 2, 3, 4, 8, 24]"},
        {"draft_length": "[0, 1, 2, 3, 5]"},
        {"draft_length": "[0]"},
        {"context_tokens": "[512, 1024, 4096, 8192]"},
        {"batch": "[1]", "draft_length": "[0]", "context_tokens": "[1024]"},
        {"batch": "[4]", "draft_length": "[2]", "context_tokens": "[4096]"},
        {"batch": "[1, 4, 12]", "draft_length": "[0, 1, 2, 7]", "context_tokens": "[64, 1024, 4096]"},
    ],
    ids=str,
)
def test_another_grid_changes_no_shared_cell(base: Results, grown: dict[str, str]) -> None:
    same_in_shared_cells(base, studied(**BASE | grown))


@pytest.mark.parametrize("block", [3, 20, 64])
def test_the_size_of_a_block_changes_nothing(base: Results, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(surfaces, "BLOCK", block)
    again = studied(**BASE)
    assert_frame_equal(again["results"], base["results"], check_exact=True)
    assert_frame_equal(again["best"], base["best"], check_exact=True)


def test_a_repetition_changes_nothing_and_another_seed_does(base: Results) -> None:
    assert_frame_equal(studied(**BASE)["results"], base["results"], check_exact=True)
    other = studied(**BASE, seed="1")
    drafted = pl.col("draft_length") > 0
    assert (other["results"].filter(drafted)["step_seconds"] != base["results"].filter(drafted)["step_seconds"]).all()


@pytest.mark.parametrize("threads", [1, 5])
def test_the_number_of_threads_changes_nothing(
    tmp_path: Path, base: Results, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(surfaces, "BLOCK", 2)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    keys = {"target": "olmoe-1b-7b", "world_requests": "24", "worlds": str(WORLDS)} | BASE
    found = invoke("run", "optimal-k", *sets(**keys), "--out", str(tmp_path / "out"), "--quiet")
    assert found == Outcome(0, "", "")
    for name, frame in (("results", base["results"]), ("best", base["best"])):
        assert_frame_equal(pl.read_parquet(tmp_path / "out" / f"{name}.parquet"), frame, check_exact=True)


def test_more_scenarios_change_none(base: Results, tmp_path: Path) -> None:
    both = tmp_path / "both.toml"
    both.write_text(
        f"worlds = {WORLDS}\nworld_requests = 24\n"
        + "".join(f"{key} = {value}\n" for key, value in BASE.items())
        + "[[scenario]]\ntarget = 'llama-3-8b'\n[[scenario]]\ntarget = 'olmoe-1b-7b'\n"
    )
    resolved = scenario.fill("optimal-k", config.resolve("optimal-k", both, [], {}))
    listed = optimal_k.tasks(resolved, resolved.worlds)
    done = {task.name: task.function(*task.arguments) for task in listed}
    same_in_shared_cells(base, optimal_k.conclude(resolved, WORLDS, done, {}))
