"""SGLang's ExpertDistributionRecorder in mode per_token, converted once from its torch file (docs/traces.md).

    forward_mode [passes]          1 extend, 2 decode, 3 mixed, 5 target verify
    pass_start [passes + 1]        rows pass_start[p] .. pass_start[p+1]-1 are of pass p
    positions [rows]               of each row's token in its request
    topk_ids [rows, layers, 8]     physical experts; slots beyond top_k, and layers that do not route, are -1
    physical_to_logical [layers, physical experts]
    extend_lens [..]               rows of each request of the extend passes, one after another
    extend_start [passes + 1]      cuts extend_lens into passes
    (python/sglang/srt/eplb/expert_distribution.py)

Requests are not named and are followed by their positions (follow.py). This is the only source that holds rejected
drafts: phase verify.
"""

from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np

from traces.importers.arrays import archived, members
from traces.importers.follow import Batch, Live
from traces.request import DECODE, PROMPT, VERIFY, Reading, Request, Requests

ARRAYS = ("forward_mode", "pass_start", "positions", "topk_ids", "physical_to_logical", "extend_lens", "extend_start")
EXTEND, DECODED, MIXED, TARGET_VERIFY = 1, 2, 3, 5


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is a converted recording."""
    return members(path, head) >= set(ARRAYS)


def read(paths: list[Path], reading: Reading) -> Requests:
    """The requests of each file, followed through its passes."""
    reading.note("SGLang's recorder names no requests: they are followed by their positions.")
    reading.note("Physical experts are mapped back by the last map of the recording; rebalancing in it is not seen.")
    for path in paths:
        try:
            held = archived(path, ARRAYS)
            ids = held.pop("topk_ids")
            held = {name: array.astype(np.int64) for name, array in held.items()}
        except (ValueError, TypeError) as error:
            reading.faults.add("files are no converted recordings", f"{path.name}: {error}")
            continue
        wrong = _faults(held, ids)
        for fault in wrong:
            reading.faults.add(fault, path.name)
        if wrong:
            continue
        logical = held["physical_to_logical"]
        ids = np.where(ids < 0, -1, logical[np.arange(ids.shape[1])[:, None], np.maximum(ids, 0)])
        for number, live in enumerate(_followed(held, path, reading)):
            rows = np.concatenate(live.rows)
            phase = np.repeat(np.array(live.phases, np.int8), [len(part) for part in live.rows])
            name = f"{path.name} request {number}"
            yield Request(ids[rows], phase, name, path.name, name, position=held["positions"][rows])


def _faults(held: dict[str, np.ndarray], ids: np.ndarray) -> list[str]:
    passes, rows = len(held["forward_mode"]), len(held["positions"])
    logical, start, cuts = held["physical_to_logical"], held["pass_start"], held["extend_start"]
    faults = []
    if ids.ndim != 3 or ids.dtype.kind not in "iu" or len(ids) != rows:
        faults.append("files whose topk_ids are no integers [rows, layers, 8]")
    elif logical.ndim != 2 or len(logical) != ids.shape[1] or ids.max(initial=-1) >= logical.shape[1]:
        faults.append("files whose physical_to_logical does not hold the ids of topk_ids")
    for name, offsets, end in (("pass_start", start, rows), ("extend_start", cuts, len(held["extend_lens"]))):
        if len(offsets) != passes + 1 or offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 0).any():
            faults.append(f"files whose {name} does not cut {end} into {passes} passes")
    return faults


def _followed(held: dict[str, np.ndarray], path: Path, reading: Reading) -> list[Live]:
    """All requests, in the order in which they begin."""
    window, batch, skipped = _window(held, path, reading), Batch(), 0
    start, cuts = held["pass_start"], held["extend_start"]
    for number, mode in enumerate(held["forward_mode"]):
        rows = np.arange(start[number], start[number + 1])
        at = held["positions"][rows]
        if mode in (EXTEND, MIXED):
            lengths = held["extend_lens"][cuts[number] : cuts[number + 1]]
            if lengths.sum() != len(rows) or lengths.min(initial=1) < 1:
                reading.faults.add("passes whose extend_lens are not their rows", f"{path.name} pass {number}")
                continue
            ends = np.cumsum(lengths)
            for low, high in zip(ends - lengths, ends, strict=True):
                if mode == MIXED and high - low == 1:  # the decode rows of a mixed pass stand behind its prompts
                    batch.step(rows[low:, None], at[low:].tolist(), DECODE)
                    break
                batch.prompt(rows[low:high], int(at[low]), PROMPT)
        elif mode == DECODED:
            batch.step(rows[:, None], at.tolist(), DECODE)
        elif mode == TARGET_VERIFY and window:
            batch.step(rows.reshape(-1, window), at[::window].tolist(), VERIFY)
        else:
            skipped += len(rows)
    if batch.unclear:
        reading.note(f"{batch.unclear:,} times it was unclear which request went on: a new one begins there.")
    if skipped:
        reading.note(f"{skipped:,} rows of other passes (draft models, idle) are left out.")
    return batch.everyone


def _window(held: dict[str, np.ndarray], path: Path, reading: Reading) -> int:
    """Rows of one request in a verify pass, 0 where there is none: positions rise by 1 inside a window.

    In a tree siblings share a position; between windows of chains equal neighbours are rare.
    """
    size, breaks, siblings, start = 0, 0, 0, held["pass_start"]
    for number in np.flatnonzero(held["forward_mode"] == TARGET_VERIFY):
        at = held["positions"][start[number] : start[number + 1]]
        cuts = np.flatnonzero(np.diff(at) != 1) + 1
        size = reduce(gcd, np.diff(np.concatenate([[0], cuts, [len(at)]])).tolist(), size)
        breaks, siblings = breaks + len(cuts), siblings + int(np.sum(np.diff(at) == 0))
    if size == 1 or 2 * siblings > breaks:
        reading.faults.add("recordings verify trees of drafts, which are not read (chains are)", path.name)
        return 0
    return size
