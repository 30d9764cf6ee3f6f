"""Popularity alone: how often each expert was chosen, in JSON and in arrays.

{"logical_count": [[...E] x L]}        SGLang, --init-expert-location; windows x L x E where a recorder kept them
{"layer": {"expert": count}}           MindSpeed-RL and others; experts that are not named were never chosen
.npy [L, E] or [W, L, E]               what DeepSeek's EPLB takes as its weights
.npz global_physical_count [W, L, P] and physical_to_logical [L, P]
                                       the SGLang recorder's per-pass counts, converted as docs/traces.md says
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from traces.importers.arrays import archived, members, opened
from traces.request import Counts, Reading

NESTED = re.compile(rb'\s*\{\s*"(?:layer[_.]?)?\d+"\s*:\s*\{\s*"(?:expert[_.]?)?\d+"\s*:\s*\d')
PHYSICAL = {"global_physical_count", "physical_to_logical"}


def detects_json(path: Path, head: bytes) -> bool:
    """Whether the file holds logical counts."""
    return b'"logical_count"' in head or NESTED.match(head) is not None


def detects_npy(path: Path, head: bytes) -> bool:
    """Whether the file is an array of counts, or an archive of the recorder's.

    In counts every layer that routes at all has seen as many choices as every other.
    """
    if members(path, head) >= PHYSICAL:
        return True
    counts = opened(path) if head.startswith(b"\x93NUMPY") else None
    if counts is None or counts.ndim not in (2, 3) or counts.dtype.kind not in "iuf" or not counts.size:
        return False
    sums = np.asarray(counts[:64] if counts.ndim == 3 else counts[None], np.float64).sum(axis=2)
    return bool((np.isclose(sums, sums.max(axis=1, keepdims=True)) | (sums == 0)).all() and sums.any())


def read(paths: list[Path], reading: Reading) -> Counts:
    """The counts of all files, one after another."""
    parts: list[np.ndarray] = []
    for path in paths:
        try:
            held = _json(path) if path.suffix not in (".npy", ".npz") else _array(path)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, OSError) as error:
            reading.faults.add("files hold no counts [windows, layers, experts]", f"{path.name}: {error}")
            continue
        checked(held, path.name, reading)
        if parts and held.shape[1:] != parts[0].shape[1:]:
            said = f"{path.name}: {held.shape[1:]}, not {parts[0].shape[1:]}"
            reading.faults.add("files are of other layers x experts than the first", said)
            continue
        parts.append(held)
    reading.faults.refuse(f"{paths[0]}" if len(paths) == 1 else f"{len(paths)} files")
    return Counts(np.concatenate(parts).astype(np.int64))


def checked(counts: np.ndarray, place: str, reading: Reading) -> None:
    """Add what is wrong with counts [windows, layers, experts] to the faults of the reading."""
    wrong = ~(np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts)) & (counts < 2**53))
    if wrong.any():
        window, layer, expert = np.argwhere(wrong)[0]
        first = f"{place}, window {window}, layer {layer}, expert {expert}: {counts[window, layer, expert]}"
        reading.faults.add("counts are no whole numbers of at least 0", first, int(wrong.sum()))
    elif not counts.any():
        reading.faults.add("files whose counts are all 0", place)
    experts = reading.shape.experts
    if experts and counts.shape[2] != experts:
        reading.faults.say(f"it has {counts.shape[2]} experts, the target {experts}")


def _json(path: Path) -> np.ndarray:
    held: Any = json.loads(path.read_text("utf-8-sig"))
    if "logical_count" in held:
        counts = np.asarray(held["logical_count"], np.float64)
    else:
        rows = {_number(layer): {_number(e): n for e, n in row.items()} for layer, row in held.items()}
        experts = 1 + max(max(row, default=0) for row in rows.values())
        counts = np.zeros((1 + max(rows), experts))
        for layer, row in rows.items():
            for expert, count in row.items():
                counts[layer, expert] = count
    return _windows(counts)


def _array(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        counts = opened(path)
        if counts is None:
            raise ValueError("no array")
        return _windows(np.asarray(counts, np.float64))
    held = archived(path, sorted(PHYSICAL))
    physical = held["global_physical_count"].astype(np.float64)
    logical = held["physical_to_logical"].astype(np.int64)
    if physical.ndim != 3 or physical.shape[1:] != logical.shape or logical.min() < 0:
        raise ValueError(f"counts {physical.shape} do not fit the map {logical.shape} from physical to logical experts")
    counts = np.zeros((*physical.shape[:2], int(logical.max()) + 1))
    for layer, of in enumerate(logical):
        np.add.at(counts[:, layer].T, of, physical[:, layer].T)
    return counts


def _windows(counts: np.ndarray) -> np.ndarray:
    if counts.ndim == 2:
        counts = counts[None]
    if counts.ndim != 3 or not counts.size:
        raise ValueError(f"an array of shape {counts.shape}")
    return counts


def _number(name: str) -> int:
    return int(re.sub(r"^\D*", "", name))
