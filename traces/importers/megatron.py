"""Megatron-core's router trace: every token of a step, one line per layer, without naming requests.

    router_trace_rank{r}.jsonl   {"step", "stage", "block": "decoder" | "mtp", "layer", "rank", "num_tokens", "topk",
                                  "top_indices": [num_tokens][topk]}
    (megatron/core/transformer/moe/router_trace.py, --moe-routing-trace-path)

Rows are in batch order, and a decode step holds one row per request in a fixed slot. So consecutive steps with the
same number of rows are read as decode, slot by slot; a step that stands alone (a prompt), or of more rows than a
decode batch has, does not say whose its rows are and is left out. The heads of multi-token prediction are not the
target's layers and are left out.
"""

import hashlib
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from traces.importers import documents
from traces.request import DECODE, Reading, Request, Requests

RANK = re.compile(rb'"rank"\s*:\s*\d+')
LARGEST = 1024  # rows of a decode step

Step = tuple[str, int, dict[int, np.ndarray]]  # place, step, layer -> [tokens, top_k]


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is such a trace."""
    return b'"top_indices"' in head and b'"num_tokens"' in head


def read(paths: list[Path], reading: Reading) -> Requests:
    """The slots of all runs of decode steps; ranks that wrote the same are read once."""
    reading.note("Megatron names no requests: a slot of consecutive decode steps is taken as one.")
    seen: set[bytes] = set()
    for path in paths:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            for line in file:
                digest.update(RANK.sub(b"", line))
        if digest.digest() in seen:
            reading.note("Ranks that wrote the same rows as another are read once.")
            continue
        seen.add(digest.digest())
        yield from _slots(path, reading)


def _slots(path: Path, reading: Reading) -> Iterator[Request]:
    run: list[np.ndarray] = []
    began, left = 0, 0
    layers = reading.layers
    for place, step, held in _steps(path, reading):
        layers = layers or sorted(held)
        reading.layers = layers
        shapes = {ids.shape for ids in held.values()}
        if sorted(held) != layers or len(shapes) > 1:
            reading.faults.add("steps whose layers differ from the first's, or in their rows", place)
            continue
        ids = np.stack([held[layer] for layer in layers], axis=1)
        if run and len(ids) != len(run[0]):
            left += yield from _run(run, began, path.name)
            run = []
        if not run:
            began = step
        run.append(ids)
    left += yield from _run(run, began, path.name)
    if left:
        reading.note(f"{left:,} tokens of steps that are no decode steps are left out ({path.name}).")


def _run(run: list[np.ndarray], began: int, file: str) -> Generator[Request, None, int]:
    """Yield the slots of a run of steps [rows, layers, top_k]; return how many tokens were none."""
    tokens = sum(map(len, run))
    if len(run) < 2 or len(run[0]) > LARGEST:
        return tokens
    steps = np.stack(run, axis=1)  # [slots, steps, layers, top_k]
    for slot, ids in enumerate(steps):
        name = f"{file} step {began} slot {slot}"
        yield Request(ids, np.full(len(ids), DECODE, np.int8), name, file, name)
    return 0


def _steps(path: Path, reading: Reading) -> Iterator[Step]:
    current: Step | None = None
    for place, line in documents.read(path, reading):
        try:
            if line["block"] != "decoder":
                reading.note("Layers of multi-token prediction are left out.")
                continue
            step, layer = int(line["step"]), int(line["layer"])
            ids = np.asarray(line["top_indices"])
            if ids.dtype.kind not in "iu" or ids.shape != (line["num_tokens"], line["topk"]):
                raise ValueError(f"top_indices of shape {ids.shape}, not {line['num_tokens']} x {line['topk']}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reading.faults.add("lines that are no record of a router", f"{place}: {error}")
            continue
        if current is None or current[1] != step or layer in current[2]:
            if current is not None:
                yield current
            current = (place, step, {})
        current[2][layer] = ids
    if current is not None:
        yield current
