"""`draftodds trace describe`: what it prints and writes, what it refuses, and that names are words and nothing else."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reports import trace as report
from reports.described import plain
from tests.described_traces import logged, routed, stepped
from tests.pages import HOSTILE, html, read
from tests.test_cli import contents, invoke, words
from tests.test_cli_input import refused
from tests.test_describe_acceptance import made_up
from tests.test_describe_routing import EXPERTS, draws, texts
from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.describe import FRAMES
from traces.faults import Faults
from traces.request import Counts, Reading
from traces.writer import Writer

ROUTING = {"about", "notes", "load", "overlap", "windows", "batches", "ranks"}
STEPS = {"about", "notes", "runs", "spread", "tokens_per_step"}


def popular(folder: Path, counts: np.ndarray) -> Path:
    with Writer(folder, Reading()) as trace:
        trace.seal({"format": "counts", "model": None, **trace.counts(Counts(counts))})
    return folder


def summed(folder: Path, group: str = "chat") -> Path:
    """Acceptance known in sums only."""
    curves = survival_rows([80, 50, 20], 100, group=group, category=group, draft_length=3)
    means = [{"group": group, "draft_length": 3, "tokens_per_step": 2.5}]
    return stepped(folder, AcceptanceLog.of("made up", Faults(), curves=curves, means=means))


def steps(folder: Path) -> Path:
    accepted, drafted = made_up()
    kinds = ["code", "math"] * 20
    return stepped(folder, logged(accepted, drafted, category=kinds, temperature=[0.0] * 40))


CASES: dict[str, tuple[Callable[[Path], Path], set[str]]] = {
    "routing": (lambda at: routed(at, texts(), EXPERTS), ROUTING),
    "one request": (lambda at: routed(at, [draws(40, 0)], EXPERTS), ROUTING),
    "two tokens": (lambda at: routed(at, [draws(2, 0)], EXPERTS), ROUTING),
    "one token": (lambda at: routed(at, [draws(1, 0)], EXPERTS), ROUTING),
    "one layer, five experts": (lambda at: routed(at, [draws(90, 0, layers=1, experts=5, top_k=2)], 5), ROUTING),
    "every expert": (lambda at: routed(at, [draws(60, 0, layers=2, experts=4, top_k=4)], 4), ROUTING),
    "popularity": (lambda at: popular(at, np.arange(48).reshape(2, 3, 8)), {"about", "notes", "load", "ranks"}),
    "steps": (steps, STEPS),
    "one step": (lambda at: stepped(at, logged([[[1]]])), STEPS),
    "sums": (summed, {"about", "notes", "curves", "means"}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, set[str]]:
    make, frames = CASES[request.param]
    return make(tmp_path / "t"), frames


def test_whatever_a_trace_holds_is_printed_written_and_drawn(case: tuple[Path, set[str]]) -> None:
    folder, frames = case
    before = contents(folder)
    found = invoke("trace", "describe", str(folder))
    assert (found.code, found.err) == (0, "")
    assert re.search(r"\b(nan|inf|None|NaN)\b", found.out) is None
    written = contents(folder / "describe")
    assert {name.removesuffix(".parquet") for name in written if name.endswith(".parquet")} == frames
    manifest = json.loads(written["manifest.json"])["describes"]
    assert {*manifest["files"], "manifest.json"} == set(written)
    assert {name: held for name, held in contents(folder).items() if not name.startswith("describe/")} == before
    for name in frames & set(FRAMES):
        frame = pl.read_parquet(folder / "describe" / f"{name}.parquet")
        assert dict(frame.schema) == dict(pl.Schema(FRAMES[name]))
        floats = frame.select(pl.col(pl.Float64)).fill_null(0)
        assert all(floats[column].is_finite().all() for column in floats.columns)
        said = pl.read_parquet_metadata(folder / "describe" / f"{name}.parquet")["draftodds"]
        assert json.loads(said)["trace"] == manifest["trace"]
    reader = read(folder / "describe")
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert [at[:40] for at in reader.addresses if not at.startswith(("data:image/svg+xml,", "#"))] == []
    assert re.search(r"\b(nan|inf|None|NaN)\b", reader.text) is None
    for name in written:
        if name.startswith("figures/"):
            assert len(written[name]) > 1000


def test_describing_again_replaces_what_the_manifest_lists_and_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = routed(tmp_path / "t", texts((20, 30)), EXPERTS)
    assert "Replaced" not in invoke("trace", "describe", str(folder), "--out", str(tmp_path / "d")).out
    first = contents(tmp_path / "d")
    found = invoke("trace", "describe", str(folder), "--out", str(tmp_path / "d"))
    assert f"Replaced an earlier description: {len(first)} files." in words(found.out)
    assert contents(tmp_path / "d") == first


def test_what_others_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    folder = routed(tmp_path / "t", [draws(9, 0)], EXPERTS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    invoke("trace", "describe", str(folder), "--out", str(tmp_path / "both"))
    (tmp_path / "both" / "figures" / "my own.png").write_text("mine")
    before = contents(tmp_path)
    for place, said in (
        ("mine", "thesis.txt"),
        ("both", "my own.png"),
        ("file", "no folder"),
        ("t", "experts.safetensors"),
    ):
        refused(invoke("trace", "describe", str(folder), "--out", str(tmp_path / place)), place, said, "--out")
        assert contents(tmp_path) == before


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = routed(tmp_path / "t", [draws(9, 0)], EXPERTS)
    invoke("trace", "describe", str(folder))
    before = sorted(tmp_path.rglob("*")), contents(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "render", full)
    refused(invoke("trace", "describe", str(folder)), "cannot write", "No space left")
    assert (sorted(tmp_path.rglob("*")), contents(tmp_path)) == before


@pytest.mark.parametrize("argv", [["trace", "describe", "@/none"], ["trace", "describe", "@"], ["trace", "describe"]])
def test_what_is_no_trace_is_refused(tmp_path: Path, argv: list[str]) -> None:
    refused(invoke(*(part.replace("@", str(tmp_path)) for part in argv)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_words_and_nothing_else(tmp_path: Path, name: str) -> None:
    hostile = f"{name}\x1b[2J"
    accepted, drafted = made_up()
    known = {"category": [hostile, "b"] * 20, "temperature": [0.5, 1.0] * 20}
    log = logged(accepted, drafted, **known)
    curves = survival_rows([80, 50], 100, group=hostile, category=hostile)
    log = replace(log, curves=AcceptanceLog.of("x", Faults(), curves=curves).curves, notes=(hostile,))
    with Writer(tmp_path / "t", Reading()) as trace:
        trace.seal({"format": hostile, "model": hostile, **trace.acceptance(log, "made up")})
    found = invoke("trace", "describe", str(tmp_path / "t"), "--out", str(tmp_path / "d"))
    assert found.code == 0, found.err
    assert "\x1b[2J" not in found.out
    reader = read(tmp_path / "d")
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert all(at.startswith(("data:image/svg+xml,", "#")) for at in reader.addresses)
    assert plain(hostile) in reader.text
    assert "49" not in re.findall(r"(?s)<h2>(.*?)</h2>", html(tmp_path / "d"))[0]
    assert {path.name for path in tmp_path.iterdir()} == {"t", "d"}


def test_the_summary_says_what_the_frames_say(tmp_path: Path) -> None:
    folder = steps(tmp_path / "t")
    out = words(invoke("trace", "describe", str(folder)).out)
    runs = pl.read_parquet(folder / "describe" / "runs.parquet").filter(by="all")
    for hazard in runs["hazard"]:
        assert f"{hazard:.3f}" in out
    row = pl.read_parquet(folder / "describe" / "tokens_per_step.parquet").row(0, named=True)
    assert (
        f"{row['tokens_per_step']:.2f} tokens per step; the average request sees {row['request_weighted']:.2f}" in out
    )


def test_acceptance_in_sums_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = summed(tmp_path / "t")
    out = words(invoke("trace", "describe", str(folder)).out)
    assert "chat chat 3 2 100 50 0.5" in out
    assert "chat 3 2.5" in out
    for name in ("curves", "means"):
        assert pl.read_parquet(folder / "describe" / f"{name}.parquet").equals(
            pl.read_parquet(folder / f"{name}.parquet")
        )
