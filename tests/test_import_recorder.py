"""SGLang's per-token recorder, in the converted layout of docs/traces.md: physical ids, slots, verify passes."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.markdown import Markdown
from tests.routing_traces import Back, imported, refused, routed
from tests.test_npz import packed
from traces import importers
from traces.store import Trace

EXTEND, DECODE, MIXED, VERIFY, DRAFT_EXTEND = 1, 2, 3, 5, 6
LAYERS, EXPERTS, TOP_K, REPLICAS = 4, 12, 3, 4
# every layer has its own order of 16 physical experts: each logical one, and four of them twice
MAP = np.stack(
    [np.random.default_rng(n).permutation([*range(EXPERTS), *range(n, n + REPLICAS)]) for n in range(LAYERS)]
)


def physical(ids: np.ndarray) -> np.ndarray:
    """Physical ids in 8 slots, the last replica of each; a first layer that does not route is -1."""
    slots = np.full((len(ids), 1 + LAYERS, 8), -1)
    for layer in range(LAYERS):
        place = {int(e): p for p, e in enumerate(MAP[layer])}
        slots[:, 1 + layer, :TOP_K] = np.vectorize(place.get)(ids[:, layer])
    return slots


@dataclass
class Recorder:
    modes: list[int] = field(default_factory=list)
    positions: list[list[int]] = field(default_factory=list)
    ids: list[np.ndarray] = field(default_factory=list)
    lens: list[list[int]] = field(default_factory=list)

    def record(self, mode: int, *parts: tuple[np.ndarray, list[int]]) -> None:
        """One pass over (ids, positions) of each request of the batch, in order."""
        self.modes.append(mode)
        self.ids.append(np.concatenate([ids for ids, _ in parts]))
        self.positions.append([p for _, positions in parts for p in positions])
        self.lens.append([len(p) for _, p in parts] if mode in (EXTEND, MIXED) else [])

    def write(self, path: Path, **changed: Any) -> Path:
        identity = np.arange(MAP.shape[1])[None]
        arrays = {
            "forward_mode": np.array(self.modes),
            "pass_start": np.cumsum([0, *map(len, self.positions)]),
            "positions": np.concatenate(self.positions),
            "topk_ids": physical(np.concatenate(self.ids)).astype(np.int32),
            "physical_to_logical": np.concatenate([identity, MAP]),
            "extend_lens": np.array([n for lens in self.lens for n in lens], np.int64),
            "extend_start": np.cumsum([0, *map(len, self.lens)]),
        }
        path.write_bytes(packed(**(arrays | changed)))
        return path


def texts(*lengths: int) -> list[np.ndarray]:
    return [routed(n, layers=LAYERS, experts=EXPERTS, top_k=TOP_K, seed=n) for n in lengths]


def part(ids: np.ndarray, low: int, high: int) -> tuple[np.ndarray, list[int]]:
    return ids[low:high], list(range(low, high))


def same(found: Back, expected: list[np.ndarray]) -> None:
    assert len(found.ids) == len(expected)
    for given, read in zip(expected, found.ids, strict=True):
        np.testing.assert_array_equal(given, read)


def test_requests_are_followed_from_prompt_to_decode_and_ids_mapped_back(tmp_path: Path) -> None:
    """Two prompts in one pass; the third joins later; the first ends first, so the others move up a slot."""
    a, b, c = texts(9, 14, 12)
    log = Recorder()
    log.record(EXTEND, part(a, 0, 5), part(b, 0, 4))
    for n in range(2):
        log.record(DECODE, part(a, 5 + n, 6 + n), part(b, 4 + n, 5 + n))
    log.record(EXTEND, part(c, 0, 3))
    for n in range(2):
        log.record(DECODE, part(a, 7 + n, 8 + n), part(b, 6 + n, 7 + n), part(c, 3 + n, 4 + n))
    for n in range(6):
        log.record(DECODE, part(b, 8 + n, 9 + n), part(c, 5 + n, 6 + n))
    found = imported(tmp_path, log.write(tmp_path / "r.npz"))
    same(found, [a, b, c[:11]])
    assert found.phases[0] == ["prompt"] * 5 + ["decode"] * 4
    assert found.positions[2] == list(range(11))
    assert found.info["format"] == "sglang-recorder"
    assert (found.info["layers"], found.info["top_k"]) == ([1, 2, 3, 4], TOP_K)
    assert "5 slots of each row are never filled" in found.notes
    assert "unclear" not in found.notes


def test_prompts_in_chunks_are_one_request(tmp_path: Path) -> None:
    (a,) = texts(11)
    log = Recorder()
    log.record(EXTEND, part(a, 0, 4))
    log.record(EXTEND, part(a, 4, 8))
    for n in range(8, 11):
        log.record(DECODE, part(a, n, n + 1))
    found = imported(tmp_path, log.write(tmp_path / "r.npz"))
    same(found, [a])
    assert found.phases[0] == ["prompt"] * 8 + ["decode"] * 3


def test_mixed_passes_hold_a_chunk_of_a_prompt_and_then_decode_rows(tmp_path: Path) -> None:
    a, b, c = texts(9, 8, 7)
    log = Recorder()
    log.record(EXTEND, part(a, 0, 5), part(b, 0, 4))
    log.record(DECODE, part(a, 5, 6), part(b, 4, 5))
    log.record(MIXED, part(c, 0, 4), part(a, 6, 7), part(b, 5, 6))
    for n in range(2):
        log.record(DECODE, part(a, 7 + n, 8 + n), part(b, 6 + n, 7 + n), part(c, 4 + n, 5 + n))
    found = imported(tmp_path, log.write(tmp_path / "r.npz"))
    same(found, [a, b, c[:6]])
    assert found.phases[2] == ["prompt"] * 4 + ["decode"] * 2


def test_requests_of_one_length_that_cannot_be_told_apart_are_cut(tmp_path: Path) -> None:
    """Both stand at the same position and one ends: which one it was, nothing tells."""
    a, b = texts(9, 10)
    log = Recorder()
    log.record(EXTEND, part(a, 0, 4), part(b, 0, 4))
    for n in range(4, 7):
        log.record(DECODE, part(a, n, n + 1), part(b, n, n + 1))
    for n in range(7, 10):
        log.record(DECODE, part(b, n, n + 1))
    found = imported(tmp_path, log.write(tmp_path / "r.npz"))
    same(found, [a[:7], b[:7], b[7:]])
    assert "1 times it was unclear which request went on" in found.notes


def test_verify_passes_keep_what_was_rejected_as_verify(tmp_path: Path) -> None:
    """Windows of 4; after each, the next begins where the accepted drafts end. A draft model's passes are left out."""
    accepted = {"a": [3, 0, 1, 2], "b": [1, 1, 3, 0]}
    windows: dict[str, list[tuple[np.ndarray, list[int]]]] = {"a": [], "b": []}
    prompts = dict(zip("ab", texts(5, 6), strict=True))
    for seed, name in enumerate("ab"):
        at = len(prompts[name])
        for step, run in enumerate(accepted[name]):
            ids = routed(4, layers=LAYERS, experts=EXPERTS, top_k=TOP_K, seed=100 + 10 * seed + step)
            windows[name].append((ids, list(range(at, at + 4))))
            at += run + 1
    log = Recorder()
    log.record(EXTEND, (prompts["a"], list(range(5))), (prompts["b"], list(range(6))))
    for both in zip(windows["a"], windows["b"], strict=True):
        log.record(VERIFY, *both)
        log.record(DRAFT_EXTEND, both[0])
    found = imported(tmp_path, log.write(tmp_path / "r.npz"))
    for number, name in enumerate("ab"):
        np.testing.assert_array_equal(
            found.ids[number], np.concatenate([prompts[name], *(w for w, _ in windows[name])])
        )
        assert found.phases[number] == ["prompt"] * len(prompts[name]) + ["verify"] * 16
        assert found.positions[number][-16:] == [p for _, positions in windows[name] for p in positions]
    assert len(found.ids) == 2
    assert "16 rows of other passes" in found.notes


def test_trees_and_broken_recordings_are_refused(tmp_path: Path) -> None:
    (a,) = texts(8)
    tree, log = Recorder(), Recorder()
    tree.record(VERIFY, (a[:4], [5, 6, 6, 7]))
    assert "1 recordings verify trees of drafts" in refused(tmp_path, tree.write(tmp_path / "r.npz"))
    log.record(EXTEND, part(a, 0, 4))
    log.record(DECODE, part(a, 4, 5))
    broken = {"pass_start": np.array([0, 4, 9]), "physical_to_logical": MAP[:, :3]}
    message = refused(tmp_path, log.write(tmp_path / "r.npz", **broken))
    assert "1 files whose pass_start does not cut 5 into 2 passes (first: r.npz)" in message
    assert "1 files whose physical_to_logical does not hold the ids" in message
    assert "extend_lens are not their rows (first: r.npz pass 0)" in refused(
        tmp_path, log.write(tmp_path / "r.npz", extend_lens=np.array([3]))
    )


class Tensor:
    """As much of a torch tensor as the documented conversion uses."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def numpy(self) -> np.ndarray:
        return self.array

    def tolist(self) -> Any:
        return self.array.tolist()


def converted(monkeypatch: pytest.MonkeyPatch, path: Path, held: dict[str, Any]) -> None:
    """Run the conversion of docs/traces.md, with a stand-in for torch that holds `held`."""
    page = Markdown.read(Path(__file__).parents[1] / "docs" / "traces.md")
    (code,) = [block.code for block in page.blocks if block.language == "python" and "import torch" in block.code]

    def load(name: str, map_location: str, weights_only: bool) -> dict[str, Any]:
        assert (name, map_location, weights_only) == (str(path), "cpu", True)
        return held

    torch = ModuleType("torch")
    torch.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(sys, "argv", ["convert.py", str(path)])
    exec(compile(code, "docs/traces.md", "exec"), {})


def test_the_documented_conversion_of_per_token_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records as the recorder keeps them: layers first, and rows of padding after the tokens."""
    (a,) = texts(7)
    passes = [(EXTEND, 0, 4), (DECODE, 4, 5), (DECODE, 5, 6), (DECODE, 6, 7)]
    records = [
        {
            "forward_pass_id": n,
            "rank": 0,
            "gatherer_key": "primary",
            "input_ids": [1] * (high - low),
            "positions": list(range(low, high)),
            "extend_seq_lens": [high - low] if mode == EXTEND else None,
            "forward_mode": mode,
            "topk_ids_of_layer": Tensor(np.pad(physical(a[low:high]), ((0, 3), (0, 0), (0, 0))).transpose(1, 0, 2)),
        }
        for n, (mode, low, high) in enumerate(passes)
    ]
    held = {"records": records, "last_physical_to_logical_map": Tensor(np.concatenate([np.arange(16)[None], MAP]))}
    converted(monkeypatch, tmp_path / "r.pt", held)
    found = imported(tmp_path, tmp_path / "r.pt.npz")
    same(found, [a])
    assert found.phases[0] == ["prompt"] * 4 + ["decode"] * 3


def test_the_documented_conversion_of_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = np.arange(24).reshape(2, 3, 4)
    held = {"rank": 0, "logical_count": Tensor(counts), "average_utilization_rate_over_window": None}
    converted(monkeypatch, tmp_path / "stat.pt", held)
    records = [{"forward_pass_id": n, "global_physical_count": Tensor(counts[n])} for n in range(2)]
    of = Tensor(np.tile([2, 0, 1, 1], (3, 1)))
    converted(monkeypatch, tmp_path / "pass.pt", {"records": records, "last_physical_to_logical_map": of})
    for name in ("stat.pt.json", "pass.pt.npz"):
        importers.read([tmp_path / name], tmp_path / f"{name}-trace")
    np.testing.assert_array_equal(Trace.open(tmp_path / "stat.pt.json-trace").counts, counts)
    logical = np.stack([counts[..., 1], counts[..., 2] + counts[..., 3], counts[..., 0]], axis=-1)
    np.testing.assert_array_equal(Trace.open(tmp_path / "pass.pt.npz-trace").counts, logical)
