"""The store: what is on disk, that it is whole or not there, and its export."""

import hashlib
import json
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from montecarlo.errors import InputError
from tests.routing_traces import back, imported, npy, refused, routed
from tests.test_npz import made_up, packed
from traces import importers, schema, store, writer
from traces.request import DECODE, PROMPT, Reading, Request, Shape
from traces.store import Trace


def request(ids: np.ndarray, prompt: int = 0, **more: object) -> Request:
    phase = np.where(np.arange(len(ids)) < prompt, PROMPT, DECODE).astype(np.int8)
    return Request(ids=ids, phase=phase, place="made up", **more)  # type: ignore[arg-type]


def written(out: Path, *requests: Request, shape: Shape | None = None) -> Trace:
    with writer.Writer(out, Reading(shape=shape or Shape())) as trace:
        for each in requests:
            trace.add(each)
        trace.seal({"format": "made up", **trace.experts("made up")})
    return Trace.open(out)


@pytest.mark.parametrize("block", [1, 3000, 1 << 25])
def test_blocks_of_any_size_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(writer, "BLOCK", block)
    traces = [routed(n, layers=3, experts=8, seed=n) for n in (7, 1, 20)]
    requests = [request(ids, 3, position=5 * n, id=f"r{n}") for n, ids in enumerate(traces)]
    written(tmp_path / "t", *requests)
    found = back(tmp_path / "t")
    for given, read in zip(traces, found.ids, strict=True):
        np.testing.assert_array_equal(given, read)
    assert found.positions == [list(range(7)), [5], list(range(10, 30))]
    assert found.phases[2] == ["prompt"] * 3 + ["decode"] * 17
    assert found.requests["id"].to_list() == ["r0", "r1", "r2"]


@pytest.mark.parametrize(("experts", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_the_safetensors_package_reads_it(tmp_path: Path, experts: int, dtype: type) -> None:
    ids = routed(9, layers=3, experts=experts)
    ids[4, 1] = -1
    trace = written(tmp_path / "t", request(ids), shape=Shape(3, experts, 4, 3))
    held = load_file(trace.folder / "experts.safetensors")["experts"]
    assert held.dtype == trace.experts.dtype == dtype
    np.testing.assert_array_equal(held, trace.experts)
    np.testing.assert_array_equal(held, np.where(ids < 0, np.iinfo(dtype).max, ids))
    assert isinstance(trace.experts, np.memmap)


def test_the_frames_have_the_columns_of_the_schema(tmp_path: Path) -> None:
    trace = written(tmp_path / "t", request(routed(9)))
    assert dict(trace.frame("tokens").collect_schema()) == dict(pl.Schema(schema.TOKENS))
    assert dict(trace.frame("requests").collect_schema()) == dict(pl.Schema(schema.REQUESTS))
    assert (trace.has("experts"), trace.has("tokens"), trace.has("counts"), trace.has("steps")) == (1, 1, 0, 0)
    with pytest.raises(InputError, match="holds no steps"):
        trace.frame("steps")


def test_trace_json_names_the_sources_and_the_files_by_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    file.write_bytes(packed(**made_up((4, 5))))
    info = imported(tmp_path, file).info
    assert info["version"] == schema.VERSION
    assert info["files"] == [{"name": "t.npz", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}]
    folder = tmp_path / "imported"
    assert set(info["written"]) | {"trace.json"} == {path.name for path in folder.iterdir()}
    for name, digest in info["written"].items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert Trace.open(folder).digest == hashlib.sha256((folder / "trace.json").read_bytes()).hexdigest()


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    file.write_bytes(packed(**made_up((4, 5))))
    for name in ("a", "b"):
        importers.read([file], tmp_path / name)
    assert Trace.open(tmp_path / "a").digest == Trace.open(tmp_path / "b").digest


def test_an_empty_folder_is_filled_and_anything_else_is_left_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "t.npz"
    source.write_bytes(packed(**made_up((4, 5))))
    (tmp_path / "imported").mkdir()
    imported(tmp_path, source)
    for folder in (tmp_path / "imported", source):
        with pytest.raises(InputError, match="left as it is"):
            importers.read([source], folder)
    assert source.read_bytes() == packed(**made_up((4, 5)))


def test_nothing_is_left_when_it_is_interrupted(tmp_path: Path) -> None:
    def interrupted() -> None:
        with writer.Writer(tmp_path / "deep" / "t", Reading()) as trace:
            trace.add(request(routed(9)))
            assert len(list(tmp_path.rglob("raw"))) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path for path in tmp_path.rglob("*") if path.name != "deep"] == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    file.write_bytes(packed(**made_up((4, 5))))
    with pytest.raises(InputError, match="cannot write"):
        importers.read([file], file / "below")


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    trace = written(tmp_path / "t", request(routed(9)))
    experts = trace.folder / "experts.safetensors"
    whole = experts.read_bytes()
    for content in (whole[:-1], whole[:100], b"", b"\xff" * 64):
        experts.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            Trace.open(trace.folder).experts  # noqa: B018
    (trace.folder / "tokens.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="damaged"):
        Trace.open(trace.folder).start  # noqa: B018
    for content in ("{", "[]", "{}"):
        (trace.folder / "trace.json").write_text(content)
        with pytest.raises(InputError, match="damaged"):
            Trace.open(trace.folder)
    (trace.folder / "trace.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(InputError, match="version 99"):
        Trace.open(trace.folder)
    with pytest.raises(InputError, match="does not exist"):
        Trace.open(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no trace\.json"):
        Trace.open(tmp_path)


@pytest.mark.parametrize("block", [1, 1 << 25])
def test_the_export_has_a_row_per_expert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(store, "BLOCK", block)
    one, two = routed(3, layers=4, experts=8, top_k=2, seed=1), routed(2, layers=4, experts=8, top_k=2, seed=2)
    one[:, 1] = 0
    two[:, 1] = 0
    two[1, 2] = -1
    written(tmp_path / "t", request(one, 1), request(two, 1, position=7))
    assert store.export(tmp_path / "t", tmp_path / "flat.parquet") == 5 * 3 * 2
    flat = pl.read_parquet(tmp_path / "flat.parquet")
    assert dict(flat.schema) == dict(pl.Schema(store.FLAT))
    expected = [
        (r, position + t, "decode" if t else "prompt", layer, slot, int(e) if (e := ids[t, layer, slot]) >= 0 else None)
        for r, (ids, position) in enumerate([(one, 0), (two, 7)])
        for t in range(len(ids))
        for layer in (0, 2, 3)
        for slot in range(2)
    ]
    assert flat.rows() == expected
    with pytest.raises(InputError, match="left as it is"):
        store.export(tmp_path / "t", tmp_path / "flat.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.parquet", "t"]


def test_the_npz_layout_is_imported_with_what_stands_beside_it(tmp_path: Path) -> None:
    arrays = made_up((4, 5, 6), layers=3, experts=12, top_k=3)
    beside = {"first_position": np.array([9, 0, 2]), "category": np.array(["a", "b", "a"]), "n_prompt": np.arange(3)}
    file = tmp_path / "t.npz"
    file.write_bytes(packed(**arrays, **beside))
    found = imported(tmp_path, file)
    np.testing.assert_array_equal(np.concatenate(found.ids), arrays["expert_ids"])
    assert [len(ids) for ids in found.ids] == [4, 5, 6]
    assert found.phases[1] == ["decode"] * 5
    assert [positions[0] for positions in found.positions] == [9, 0, 2]
    assert found.requests["category"].to_list() == ["a", "b", "a"]
    assert found.requests["prompt_tokens"].to_list() == [0, 1, 2]


def test_what_stands_beside_the_npz_layout_but_is_pickled_is_not_read(tmp_path: Path) -> None:
    arrays = made_up((4, 5)) | {"category": np.array(["a", {}], object), "first_position": np.array([0.5, 1])}
    np.savez(tmp_path / "t.npz", allow_pickle=True, **arrays)  # type: ignore[arg-type]
    found = imported(tmp_path, tmp_path / "t.npz")
    assert found.requests["category"].to_list() == [None, None]
    assert [positions[0] for positions in found.positions] == [0, 0]


def test_an_npz_with_a_changed_byte_is_refused_or_the_same(tmp_path: Path) -> None:
    """Archives keep a checksum of each array, which is compared although rows are read one request at a time."""
    arrays = made_up((3, 2), layers=2, experts=8, top_k=2)
    np.savez_compressed(tmp_path / "whole.npz", **arrays)  # type: ignore[arg-type]
    content = (tmp_path / "whole.npz").read_bytes()
    refusals = 0
    for place in range(0, len(content), 5):
        (tmp_path / "t.npz").write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            importers.read([tmp_path / "t.npz"], tmp_path / "out", format="npz")
        except InputError:
            refusals += 1
            continue
        np.testing.assert_array_equal(Trace.open(tmp_path / "out").experts, arrays["expert_ids"])
        shutil.rmtree(tmp_path / "out")
    assert refusals > len(content) // 10


def test_warm_up_rows_at_the_head_of_each_file_are_left_out_and_counted(tmp_path: Path) -> None:
    """A dummy profile run over two requests and the head of a third; the second file has one of its own."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, runs in (("a", (30, 20, 3)), ("b", (0, 0, 9))):
        ids = [np.tile(routed(1, seed=5), (run, 1, 1)) for run in runs]
        ids[2] = np.concatenate([ids[2], routed(8, seed=6)])
        lengths = [len(part) for part in ids if len(part)]
        (folder / f"{name}.npz").write_bytes(packed(expert_ids=np.concatenate(ids), seq_start=np.cumsum([0, *lengths])))
    found = imported(tmp_path, folder)
    for ids, positions, run in zip(found.ids, found.positions, (3, 9), strict=True):
        np.testing.assert_array_equal(ids, routed(8, seed=6))
        assert positions == list(range(run, run + 8))
    assert "62 leading rows at the head of 2 files are all the same: a warm-up pass" in found.notes


def test_two_equal_choices_are_no_warm_up(tmp_path: Path) -> None:
    ids = routed(12, layers=1, experts=4, top_k=1)
    ids[:5] = 2
    (tmp_path / "r.npy").write_bytes(npy(ids))
    np.testing.assert_array_equal(imported(tmp_path, tmp_path / "r.npy", format="npy").ids[0], ids)


def test_formats_are_told_by_their_content_and_unclear_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    message = refused(tmp_path, tmp_path / "notes.md")
    assert all(name in message for name in importers.NAMES)
    (tmp_path / "a.npz").write_bytes(packed(**made_up()))
    (tmp_path / "b.npy").write_bytes(npy(routed(5)))
    several = refused(tmp_path, tmp_path)
    assert "npz: 1 (first: a.npz)" in several
    assert "npy: 1 (first: b.npy)" in several
    assert "--format" in several
    found = imported(tmp_path, tmp_path, format="npy")
    assert "2 files are not of format npy and were not read (first: a.npz)" in found.notes
    assert "unknown format 'nyp'" in refused(tmp_path, tmp_path, format="nyp")
    assert "not of format npy (first: " in refused(tmp_path, tmp_path / "b.npy", tmp_path / "a.npz", format="npy")


def test_pickles_are_refused_with_the_way_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "expert_distribution_recorder_17.pt").write_bytes(b"PK\x03\x04")
    message = refused(tmp_path, tmp_path)
    assert "docs/traces.md" in message
    assert "weights_only=True" in message


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path, tmp_path / "x.json")
    (tmp_path / "empty").mkdir()
    assert "no file in it" in refused(tmp_path, tmp_path / "empty")


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    source = tmp_path / "t.npz"
    source.write_bytes(packed(**made_up((4000, 5000))))
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        assert "cannot write" in refused(tmp_path, source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
