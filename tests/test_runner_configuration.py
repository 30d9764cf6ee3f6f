"""Running into a folder of another configuration: refused, and never a block of it used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studies import runner, surfaces, tasks
from tests.test_cli import Outcome, contents
from tests.test_npz import made_up, packed
from tests.test_runner import BLOCK, go


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "BLOCK", BLOCK)


def refused_or_as_new(run: Callable[[Path], Outcome], out: Path, fresh: Path) -> None:
    """A second run into `out` refuses it, or gives what a run into a new folder gives."""
    again = run(out)
    if again.code == 2:
        assert "another configuration" in again.err
        return
    assert again == Outcome(0, "", "")
    assert run(fresh) == Outcome(0, "", "")
    assert (out / "results.parquet").read_bytes() == (fresh / "results.parquet").read_bytes()


HARDWARE = "bf16_flops_per_s = 1e15\nmemory_bytes_per_s = {speed}\nmemory_bytes = 80e9\n"
PROFILE = 'kind = "routing"\nexperts = 64\ntop_k = 8\nskew = [{skew}]\n'


@pytest.mark.parametrize(
    ("key", "text", "first", "second"),
    [
        ("hardware", HARDWARE, {"speed": "1e12"}, {"speed": "4e12"}),
        ("routing", PROFILE, {"skew": "0.1"}, {"skew": "3.0"}),
        ("acceptance", 'kind = "acceptance"\nsurvival = [{s}]\n', {"s": "0.9, 0.8"}, {"s": "0.3, 0.1"}),
    ],
    ids=["hardware", "routing", "acceptance"],
)
def test_blocks_of_a_users_file_that_has_changed_since_are_not_used(
    tmp_path: Path, key: str, text: str, first: dict[str, str], second: dict[str, str]
) -> None:
    file, out = tmp_path / "own.toml", tmp_path / "out"

    def run(folder: Path) -> Outcome:
        tasks.prepared.cache_clear()  # as in a new process
        return go(folder, worlds="2", **{key: str(file)})

    file.write_text(text.format(**first))
    assert run(out) == Outcome(0, "", "")
    file.write_text(text.format(**second))
    refused_or_as_new(run, out, tmp_path / "fresh")


def test_a_trace_that_has_changed_since_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "WORLD_WINDOWS", 1)
    monkeypatch.setattr(tasks, "REPLICATES", 4)
    trace, out = tmp_path / "t.npz", tmp_path / "out"
    trace.write_bytes(packed(**made_up(seed=0)))
    assert go(out, "--trace", str(trace), worlds="2") == Outcome(0, "", "")
    before = contents(out)
    trace.write_bytes(packed(**made_up(seed=1)))
    found = go(out, "--trace", str(trace), worlds="2")
    assert found.code == 2
    assert "another configuration" in found.err
    assert contents(out) == before
    trace.write_bytes(packed(**made_up(seed=0)))
    moved = tmp_path / "moved.npz"
    trace.rename(moved)
    assert go(out, "--trace", str(moved), worlds="2") == Outcome(0, "", "")  # the same trace elsewhere


@pytest.mark.parametrize(
    "more", [{"seed": "1"}, {"worlds": "4"}, {"batch": "[1, 4]"}, {"acceptance": "0.5"}, {"tail": "text"}], ids=str
)
def test_every_other_configuration_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    out = tmp_path / "out"
    assert go(out, worlds="2") == Outcome(0, "", "")
    before = contents(out)
    found = go(out, **({"worlds": "2"} | more))
    assert (found.code, found.out) == (2, "")
    assert "another configuration" in found.err
    assert contents(out) == before


def test_results_of_other_versions_are_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go(tmp_path / "out", worlds="2").code == 0
    now = runner.versions()
    monkeypatch.setattr(runner, "versions", lambda: now | {"jax": "0.0.1"})
    found = go(tmp_path / "out", worlds="2")
    assert found.code == 2
    assert "--fresh" in found.err
