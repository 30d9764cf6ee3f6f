"""`draftodds trace`: what it prints, what it leaves, what it refuses."""

from pathlib import Path

import polars as pl
import pytest

from studies import surfaces, tasks
from tests.routing_traces import back, lines, routed
from tests.test_cli import contents, invoke, tiny
from tests.test_cli_input import refused
from tests.test_import_sglang import generate
from tests.test_import_vllm import response
from tests.test_npz import made_up, packed


def test_import_prints_what_it_read_and_what_it_repaired(tmp_path: Path) -> None:
    ids = routed(9)
    ids[:, 0] = 0
    source = lines(tmp_path / "log.jsonl", response(ids, 4), response(ids, 4))
    found = invoke("trace", "import", str(source), "--out", str(tmp_path / "t"))
    assert (found.code, found.err) == (0, "")
    assert f"{tmp_path / 't'}: 2 requests, 18 tokens, 4 layers, 16 experts, top 4." in found.out
    assert "- Layers without routing (all their rows are the same) are left out: 0." in found.out
    assert f"--trace {tmp_path / 't'}" in found.out
    assert back(tmp_path / "t").info["format"] == "vllm"


def test_import_for_a_target_and_replay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """olmoe-1b-7b: 16 layers, 64 experts, top 8. The folder replays as the file it was made of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(surfaces, "WORLD_WINDOWS", 1)
    monkeypatch.setattr(tasks, "REPLICATES", 4)
    Path("t.npz").write_bytes(packed(**made_up()))
    assert invoke("trace", "import", "t.npz", "--target", "olmoe-1b-7b", "--out", "t").code == 0
    frames = []
    for trace in ("t.npz", "t"):
        found = invoke(
            *tiny(Path(f"out-{Path(trace).suffix}"), "--quiet", "--trace", trace, worlds="2", world_requests="4")
        )
        assert found.code == 0, found.err
        frames.append(pl.read_parquet(Path(f"out-{Path(trace).suffix}") / "results.parquet"))
    assert frames[0].equals(frames[1])


def test_the_targets_shape_reaches_the_importer(tmp_path: Path) -> None:
    source = lines(tmp_path / "log", generate(routed(9, layers=16, experts=64, top_k=8), 4))
    found = invoke("trace", "import", str(source), "--target", "olmoe-1b-7b", "--out", str(tmp_path / "t"))
    assert found.code == 0, found.err
    assert back(tmp_path / "t").ids[0].shape == (9, 16, 8)


def test_export(tmp_path: Path) -> None:
    source = lines(tmp_path / "log", response(routed(9), 4))
    invoke("trace", "import", str(source), "--out", str(tmp_path / "t"))
    found = invoke("trace", "export", str(tmp_path / "t"), "--out", str(tmp_path / "f.parquet"))
    assert (found.code, found.err) == (0, "")
    assert "180 rows of request, position, phase, layer, slot, expert." in found.out
    assert len(pl.read_parquet(tmp_path / "f.parquet")) == 180


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["import", "@/no.json", "--out", "@/t"], ["no.json", "does not exist"]),
        (["import", "@/a.npz", "--out", "@"], ["left as it is"]),
        (["import", "@/a.npz", "--out", "@/t", "--target", "olmo"], ["unknown target 'olmo'"]),
        (["import", "@/a.npz", "--out", "@/t", "--target", "llama-3-8b"], ["llama-3-8b", "dense"]),
        (["import", "@/a.npz", "--out", "@/t", "--target", "gpt-oss-20b"], ["16 MoE layers, the target 24"]),
        (["import", "@/a.npz", "--out", "@/t", "--format", "nzp"], ["unknown format 'nzp'", "vllm"]),
        (["import", "--out", "@/t"], ["SRC"]),
        (["export", "@/a.npz", "--out", "@/f.parquet"], ["a.npz"]),
        (["export", "@", "--out", "@/f.parquet"], ["trace.json"]),
        (["export", "@", "--out", "@/f.csv"], [".parquet"]),
    ],
)
def test_mistakes_are_refused_in_one_line_and_nothing_is_left(
    tmp_path: Path, argv: list[str], words: list[str]
) -> None:
    (tmp_path / "a.npz").write_bytes(packed(**made_up()))
    before = contents(tmp_path)
    refused(invoke("trace", *(part.replace("@", str(tmp_path)) for part in argv)), *words)
    assert contents(tmp_path) == before
