"""Popularity alone: each format written from its documentation, with known counts that must come back."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from montecarlo.errors import InputError
from tests.routing_traces import npy, refused, routed
from tests.test_npz import packed
from traces import importers, replay
from traces.request import Shape
from traces.store import Trace


def counted(windows: int = 2, layers: int = 3, experts: int = 8, choices: int = 120) -> np.ndarray:
    """Counts [windows, layers, experts]; every layer sees the same number of choices."""
    return np.random.default_rng(0).multinomial(choices, np.full(experts, 1 / experts), (windows, layers))


def imported(tmp_path: Path, *sources: Path, shape: Shape | None = None, format: str | None = None) -> Trace:
    importers.read(list(sources), tmp_path / "imported", shape=shape, format=format)
    return Trace.open(tmp_path / "imported")


@pytest.mark.parametrize("windows", [0, 1, 3])
def test_logical_counts_with_dense_layers_all_zero(tmp_path: Path, windows: int) -> None:
    counts = counted(max(1, windows), layers=5)
    counts[:, :2] = 0
    (tmp_path / "decode.json").write_text(json.dumps({"logical_count": (counts if windows else counts[0]).tolist()}))
    trace = imported(tmp_path, tmp_path / "decode.json")
    np.testing.assert_array_equal(trace.counts, counts[:, 2:])
    assert trace.counts.dtype == np.int64
    assert isinstance(trace.counts, np.memmap)
    assert trace.info["layers"] == [2, 3, 4]
    assert (trace.info["format"], trace.info["windows"], trace.info["experts"]) == ("counts", max(1, windows), 8)
    assert "Layers without any count are left out: 0, 1." in trace.info["notes"]
    np.testing.assert_array_equal(load_file(trace.folder / "counts.safetensors")["counts"], counts[:, 2:])
    assert not trace.has("experts")


def test_layer_expert_count_nesting(tmp_path: Path) -> None:
    counts = counted(1)
    counts[0, 1, 2] = 0
    nested = {str(n): {str(e): int(c) for e, c in enumerate(row) if c} for n, row in enumerate(counts[0])}
    (tmp_path / "tokens.json").write_text(json.dumps(nested))
    np.testing.assert_array_equal(imported(tmp_path, tmp_path / "tokens.json").counts, counts)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
@pytest.mark.parametrize("axes", [2, 3])
def test_arrays(tmp_path: Path, dtype: Any, axes: int) -> None:
    counts = counted(1 if axes == 2 else 4)
    (tmp_path / "c.npy").write_bytes(npy((counts[0] if axes == 2 else counts).astype(dtype)))
    np.testing.assert_array_equal(imported(tmp_path, tmp_path / "c.npy").counts, counts)


def test_an_array_that_may_be_ids_or_counts_is_refused_with_both_names(tmp_path: Path) -> None:
    both = np.stack([np.random.default_rng(n).permutation(8) for n in range(6)]).reshape(2, 3, 8)
    (tmp_path / "c.npy").write_bytes(npy(both))
    message = refused(tmp_path, tmp_path / "c.npy")
    assert "npy: 1" in message
    assert "counts: 1" in message
    np.testing.assert_array_equal(imported(tmp_path, tmp_path / "c.npy", format="counts").counts, both)


def test_an_array_of_ids_is_no_array_of_counts(tmp_path: Path) -> None:
    (tmp_path / "r.npy").write_bytes(npy(routed(9)))
    assert imported(tmp_path, tmp_path / "r.npy").info["format"] == "npy"


def test_files_follow_one_another_as_windows(tmp_path: Path) -> None:
    counts = counted(3)
    for n in range(3):
        (tmp_path / f"in{n}.json").write_text(json.dumps({"logical_count": counts[n].tolist()}))
    np.testing.assert_array_equal(imported(tmp_path, tmp_path).counts, counts)


def test_physical_counts_of_the_recorder_add_up_over_replicas(tmp_path: Path) -> None:
    """Experts 0..3 in six slots: layer 0 has two replicas of expert 1 and of 3, layer 1 three of expert 0."""
    of = np.array([[0, 1, 1, 2, 3, 3], [0, 0, 0, 1, 2, 3]])
    physical = np.arange(24).reshape(2, 2, 6)
    (tmp_path / "p.npz").write_bytes(packed(global_physical_count=physical, physical_to_logical=of))
    found = imported(tmp_path, tmp_path / "p.npz").counts
    assert found.tolist() == [
        [[0, 1 + 2, 3, 4 + 5], [6 + 7 + 8, 9, 10, 11]],
        [[12, 13 + 14, 15, 16 + 17], [18 + 19 + 20, 21, 22, 23]],
    ]


def tensorrt(folder: Path, counts: np.ndarray, ranks: int = 2, first: int = 100, depth: int = 3) -> None:
    """counts [iterations, layers, experts], dealt out over ranks."""
    folder.mkdir()
    experts = counts.shape[2]
    meta = {"num_experts": experts, "num_experts_per_token": 4, "ep_size": ranks, "experts_per_rank": experts // ranks}
    (folder / "meta_info.json").write_text(json.dumps(meta))
    for rank in range(ranks):
        share = counts // ranks + (counts % ranks if rank == 0 else 0)
        save_file(
            {
                f"{first + i}_{depth + layer}": share[i, layer].astype(np.int64)
                for i in range(len(counts))
                for layer in range(counts.shape[1])
            },
            folder / f"rank{rank}.safetensors",
        )


def test_tensorrt_llm_sums_its_ranks_and_keeps_iterations_apart(tmp_path: Path) -> None:
    counts = counted(12, layers=4)  # more iterations than digits, so that names do not sort as numbers
    tensorrt(tmp_path / "expert_statistic", counts, first=95)
    (tmp_path / "expert_statistic" / "rank0_numtokens.json").write_text("{}")
    trace = imported(tmp_path, tmp_path / "expert_statistic")
    np.testing.assert_array_equal(trace.counts, counts)
    assert trace.info["layers"] == [3, 4, 5, 6]
    assert (trace.info["format"], trace.info["top_k"]) == ("tensorrt-llm", 4)


def test_tensorrt_llm_with_holes_and_ranks_that_disagree(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    tensorrt(folder, counted(2))
    held = load_file(folder / "rank1.safetensors")
    for rank in (0, 1):
        held = load_file(folder / f"rank{rank}.safetensors")
        held.pop("101_4")
        save_file(held, folder / f"rank{rank}.safetensors")
    assert "1 layers of iterations are not there (first: 101_4)" in refused(tmp_path, folder)
    held["100_3"] = np.ones(5, np.int64)
    save_file(held | {"other": np.ones(3)}, folder / "rank1.safetensors")
    message = refused(tmp_path, folder)
    assert "1 counts of other experts than another rank's (first: rank1.safetensors: 100_3)" in message
    assert "1 tensors that are no counts of one iteration and layer (first: rank1.safetensors: other)" in message


def gguf(counts: dict[str, np.ndarray], version: int = 3, alignment: int | None = None) -> bytes:
    """An imatrix: keys of several types, and in_sum2 beside every counts tensor."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text.encode())) + text.encode()

    keys = [
        string("general.type") + struct.pack("<I", 8) + string("imatrix"),
        string("imatrix.datasets") + struct.pack("<IIQ", 9, 8, 2) + string("wiki.txt") + string("code.txt"),
        string("imatrix.chunk_count") + struct.pack("<II", 4, 128),
        string("some.flag") + struct.pack("<I?", 7, True),
        string("some.double") + struct.pack("<Id", 12, 0.5),
    ]
    if alignment:
        keys.append(string("general.alignment") + struct.pack("<II", 4, alignment))
    align = alignment or 32
    infos, data = b"", b""
    for name, row in counts.items():
        for suffix, shape, held in (
            ("in_sum2", (7, len(row)), np.full(7 * len(row), 0.25, "<f4")),
            ("counts", (1, len(row)), row.astype("<f4")),
        ):
            infos += string(f"{name}.{suffix}") + struct.pack("<I2QIQ", 2, *shape, 0, len(data))
            data += held.tobytes()
            data += b"\0" * (-len(data) % align)
    head = struct.pack("<4sIQQ", b"GGUF", version, 2 * len(counts), len(keys)) + b"".join(keys) + infos
    return head + b"\0" * (-len(head) % align) + data


def names(layer: int) -> list[str]:
    return [f"blk.{layer}.ffn_{part}_exps.weight" for part in ("gate", "up", "down")]


@pytest.mark.parametrize("alignment", [None, 64])
def test_imatrix_counts_by_layer(tmp_path: Path, alignment: int | None) -> None:
    counts = counted(1)[0]
    held = {name: row for layer, row in zip((3, 12, 4), counts, strict=True) for name in names(layer)}
    held |= {"blk.0.ffn_up.weight": np.array([512.0])}  # a dense layer's, not of experts
    (tmp_path / "imatrix.gguf").write_bytes(gguf(held, alignment=alignment))
    trace = imported(tmp_path, tmp_path / "imatrix.gguf")
    np.testing.assert_array_equal(trace.counts[0], counts[[0, 2, 1]])
    assert trace.info["layers"] == [3, 4, 12]
    assert trace.info["format"] == "imatrix"


def test_imatrix_counts_collapsed_to_one_are_equal_for_all_experts(tmp_path: Path) -> None:
    counts = counted(1)[0]
    held = {name: row for layer, row in ((0, counts[0]), (1, np.array([15.0]))) for name in names(layer)}
    (tmp_path / "i.gguf").write_bytes(gguf(held))
    trace = imported(tmp_path, tmp_path / "i.gguf")
    np.testing.assert_array_equal(trace.counts[0], [counts[0], np.full(8, 15)])
    assert "equal for all experts" in " ".join(trace.info["notes"])
    (tmp_path / "i.gguf").write_bytes(gguf({name: np.array([15.0]) for name in names(0)}))
    other = tmp_path / "all equal"
    other.mkdir()
    assert "--target" in refused(other, tmp_path / "i.gguf")
    assert imported(other, tmp_path / "i.gguf", shape=Shape(1, 8, 2, 1)).counts.tolist() == [[[15] * 8]]


def test_damaged_imatrices(tmp_path: Path) -> None:
    whole = gguf({name: row for name in names(0) for row in counted(1)[0, :1]})
    file = tmp_path / "i.gguf"
    for cut in range(30, len(whole), 41):
        file.write_bytes(whole[:cut])
        assert "i.gguf" in refused(tmp_path, file, format="imatrix")
    file.write_bytes(gguf({"blk.0.ffn_up.weight": np.array([3.0])}))
    assert "no counts of experts" in refused(tmp_path, file, format="imatrix")
    rows = counted(1)[0]
    file.write_bytes(gguf(dict(zip(names(0), rows, strict=True))))
    assert "2 projections of a layer that count other tokens" in refused(tmp_path, file)


def test_all_faults_of_counts_at_once(tmp_path: Path) -> None:
    counts = counted(2).astype(float)
    counts[1, 2, 3], counts[1, 0, 0] = -4, 0.5
    (tmp_path / "a.json").write_text(json.dumps({"logical_count": counts.tolist()}))
    (tmp_path / "b.json").write_text(json.dumps({"logical_count": counted(1, layers=2).tolist()}))
    (tmp_path / "c.json").write_text('{"logical_count": [[1, 2], [3]]}')
    message = refused(tmp_path, tmp_path, shape=Shape(3, 16, 2, 3))
    assert "2 counts are no whole numbers of at least 0 (first: a.json, window 1, layer 0, expert 0: 0.5)" in message
    assert "1 files are of other layers x experts than the first (first: b.json" in message
    assert "1 files hold no counts [windows, layers, experts] (first: c.json" in message
    assert "it has 8 experts, the target 16" in message


def test_popularity_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "c.npy").write_bytes(npy(counted(1)[0]))
    trace = imported(tmp_path, tmp_path / "c.npy")
    with pytest.raises(InputError, match="popularity only"):
        replay.text(trace.folder)
