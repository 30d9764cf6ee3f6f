"""Running into a folder: what was finished is kept, whatever stops it, and only the rest is done again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from studies import cli, optimal_k, runner, surfaces, tasks
from studies.surfaces import surface_block
from tests.test_cli import Outcome, contents, invoke, sets, tiny

BLOCK, WORLDS = 2, 12
NAMES = [f"blocks/scenario0-worlds{first}.npz" for first in range(0, WORLDS, BLOCK)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "BLOCK", BLOCK)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blocks that are computed rather than read, in the order they begin."""
    begun: list[str] = []

    def counted(study_json: str, index: int, first: int, worlds: int) -> tasks.Arrays:
        begun.append(f"blocks/scenario{index}-worlds{first}.npz")
        return surface_block(study_json, index, first, worlds)

    monkeypatch.setattr(surfaces, "surface_block", counted)
    return begun


def go(out: Path, *more: str, **keys: str) -> Outcome:
    return invoke(*tiny(out, "--quiet", *more, **({"worlds": str(WORLDS), "batch": "4"} | keys)))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "BLOCK", BLOCK)
        out = tmp_path_factory.mktemp("reference") / "out"
        assert go(out) == Outcome(0, "", "")
    return contents(out)


def blocks(out: Path) -> set[str]:
    return {name for name in contents(out) if name.startswith("blocks/")}


def test_every_block_is_kept_and_named(reference: dict[str, bytes]) -> None:
    assert [name for name in reference if name.startswith("blocks/")] == sorted(NAMES)


@pytest.mark.parametrize("damage", ["deleted", "empty", "cut", "text", "only its end"])
def test_only_what_is_missing_or_damaged_is_computed_again(
    tmp_path: Path, reference: dict[str, bytes], computed: list[str], damage: str
) -> None:
    out = tmp_path / "out"
    for name, content in reference.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    for name in (NAMES[1], NAMES[4]):
        good = reference[name]
        if damage == "deleted":
            (out / name).unlink()
        else:
            damaged = {"empty": b"", "cut": good[: len(good) // 2], "text": b"lost", "only its end": good[-90:]}
            (out / name).write_bytes(damaged[damage])
    assert go(out) == Outcome(0, "", "")
    assert sorted(computed) == sorted([NAMES[1], NAMES[4]])
    assert contents(out) == reference


def test_a_finished_run_computes_nothing_again(
    tmp_path: Path, reference: dict[str, bytes], computed: list[str]
) -> None:
    assert go(tmp_path / "out") == Outcome(0, "", "")
    assert sorted(computed) == sorted(NAMES)
    computed.clear()
    assert go(tmp_path / "out") == Outcome(0, "", "")
    assert computed == []
    assert contents(tmp_path / "out") == reference


def test_lost_results_are_written_again_from_the_blocks(
    tmp_path: Path, reference: dict[str, bytes], computed: list[str]
) -> None:
    out = tmp_path / "out"
    assert go(out).code == 0
    computed.clear()
    for path in [*out.glob("*.parquet"), *out.glob("figures/*"), out / "report.html"]:
        path.unlink()
    assert go(out) == Outcome(0, "", "")
    assert computed == []
    assert contents(out) == reference


def test_a_task_that_raises_is_named_and_the_others_are_kept(
    tmp_path: Path, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(study_json: str, index: int, first: int, worlds: int) -> tasks.Arrays:
        if first == 6:
            raise RuntimeError("out of\nluck")
        return surface_block(study_json, index, first, worlds)

    out = tmp_path / "out"
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(surfaces, "surface_block", broken)
    found = go(out)
    assert (found.code, found.out) == (1, "")
    assert found.err == "draftodds: task scenario0-worlds6 failed: RuntimeError: out of luck\n"
    assert {"blocks/scenario0-worlds0.npz", "blocks/scenario0-worlds2.npz"} <= blocks(out)
    assert "blocks/scenario0-worlds6.npz" not in blocks(out)
    assert "results.parquet" not in contents(out)
    monkeypatch.setattr(surfaces, "surface_block", surface_block)
    assert go(out) == Outcome(0, "", "")
    assert contents(out) == reference


def interrupted(monkeypatch: pytest.MonkeyPatch, out: Path, at: int) -> tuple[Outcome, list[str]]:
    """A run on one thread, interrupted when it says that `at` blocks are done; and the blocks it began."""
    gate, begun = threading.Event(), list[str]()

    def slow(study_json: str, index: int, first: int, worlds: int) -> tasks.Arrays:
        begun.append(f"blocks/scenario{index}-worlds{first}.npz")
        if len(begun) > at:
            gate.wait(20)
        time.sleep(0.05)
        return surface_block(study_json, index, first, worlds)

    def update(*_: object, completed: float = -1, **__: object) -> None:
        if completed == at:
            gate.set()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        patch.setattr(surfaces, "surface_block", slow)
        patch.setattr(cli.Progress, "update", update)
        return go(out), begun


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_interrupt_keeps_finished_work_and_begins_no_more(
    tmp_path: Path, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, computed: list[str], at: int
) -> None:
    out = tmp_path / "out"
    found, begun = interrupted(monkeypatch, out, at)
    assert (found.code, found.out) == (130, "")
    assert len(begun) < len(NAMES)
    assert blocks(out) == set(begun)
    assert go(out) == Outcome(0, "", "")
    assert sorted(computed) == sorted(set(NAMES) - set(begun))
    assert contents(out) == reference


def test_an_interrupt_says_in_one_line_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = interrupted(monkeypatch, tmp_path / "out", 1)
    assert found.err.startswith("draftodds: interrupted: finished work is kept")
    assert len(found.err.splitlines()) == 1


def test_an_interrupt_while_concluding_keeps_every_block(
    tmp_path: Path, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, computed: list[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(optimal_k, "conclude", stop)
        assert go(out).code == 130
    assert sorted(computed) == sorted(NAMES)
    computed.clear()
    assert go(out) == Outcome(0, "", "")
    assert computed == []
    assert contents(out) == reference


SLOW = f"""
import signal, time
from studies import cli, surfaces
signal.signal(signal.SIGINT, signal.default_int_handler)
block = surfaces.surface_block
def slow(*arguments):
    time.sleep(0.5)
    return block(*arguments)
surfaces.surface_block, surfaces.BLOCK = slow, {BLOCK}
cli.main()
"""


def test_ctrl_c_ends_the_process_with_130_and_it_goes_on_where_it_was(
    tmp_path: Path, reference: dict[str, bytes], computed: list[str]
) -> None:
    out = tmp_path / "out"
    argv = tiny(out, worlds=str(WORLDS), batch="4")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not any((out / "blocks").glob("s*.npz")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ""
    assert "Traceback" not in complained
    kept = blocks(out)
    assert 0 < len(kept) < len(NAMES)
    assert kept <= set(NAMES)  # no half-written file is left
    assert {name: held for name, held in contents(out).items() if name in kept} == {
        name: reference[name] for name in kept
    }
    assert go(out) == Outcome(0, "", "")
    assert sorted(computed) == sorted(set(NAMES) - kept)
    assert contents(out) == reference


def largest_error(out: Path) -> float:
    grid = pl.read_parquet(out / "results.parquet")
    return 100 * float((grid["speedup_se"] / grid["speedup"]).max())  # type: ignore[arg-type]


def notes(out: Path) -> str:
    return " ".join(
        note
        for held in json.loads(pl.read_parquet_metadata(out / "results.parquet")["draftodds"])["notes"].values()
        for note in held
    )


@pytest.fixture
def usual_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "BLOCK", 16)


def until(out: Path, error: float) -> int:
    """The worlds drawn until every speedup's error is at most `error` percent."""
    argv = sets(target="olmoe-1b-7b", batch="4", draft_length="[0, 1, 2]", world_requests="8")
    found = invoke("run", "optimal-k", *argv, "--error", str(error), "--out", str(out), "--quiet")
    assert found == Outcome(0, "", "")
    return int(pl.read_parquet(out / "results.parquet")["worlds"].unique().item())


@pytest.mark.usefixtures("usual_blocks")
def test_worlds_are_drawn_until_the_error_is_reached(tmp_path: Path, computed: list[str]) -> None:
    first = until(tmp_path / "wide", 50.0)
    reached = largest_error(tmp_path / "wide")
    assert reached <= 50
    computed.clear()
    assert until(tmp_path / "narrow", 0.85 * reached) == 2 * first
    assert largest_error(tmp_path / "narrow") <= 0.85 * reached
    assert sorted(computed) == sorted(set(computed))  # worlds drawn before are not drawn again
    assert "not reached" not in notes(tmp_path / "narrow")
    assert go(tmp_path / "asked", worlds=str(2 * first)) == Outcome(0, "", "")
    narrow, asked = (pl.read_parquet(tmp_path / name / "results.parquet") for name in ("narrow", "asked"))
    assert narrow.equals(asked, null_equal=True)


@pytest.mark.usefixtures("usual_blocks")
def test_an_error_out_of_reach_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_WORLDS", 64)
    assert until(tmp_path / "out", 0.0001) == 64
    assert "0.0001 % was not reached with 64 worlds" in notes(tmp_path / "out")


def test_what_has_no_error_needs_the_fewest_worlds(tmp_path: Path) -> None:
    argv = sets(target="llama-3-8b", batch="4", draft_length="1", prices="ideal")
    out = tmp_path / "out"
    assert invoke("run", "optimal-k", *argv, "--error", "0.001", "--out", str(out), "--quiet").code == 0
    assert pl.read_parquet(out / "results.parquet")["worlds"].to_list() == [64]
