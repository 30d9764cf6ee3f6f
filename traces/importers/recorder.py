"""SGLang's ExpertDistributionRecorder in mode per_token, converted once from its torch file (docs/traces.md).

    forward_mode [passes]          1 extend, 2 decode, 3 mixed, 5 target verify
    pass_start [passes + 1]        rows pass_start[p] .. pass_start[p+1]-1 are of pass p
    positions [rows]               of each row's token in its request
    topk_ids [rows, layers, 8]     physical experts; slots beyond top_k, and layers that do not route, are -1
    physical_to_logical [layers, physical experts]
    extend_lens [..]               rows of each request of the extend passes, one after another
    extend_start [passes + 1]      cuts extend_lens into passes
    (python/sglang/srt/eplb/expert_distribution.py)

Requests are not named: rows keep the order of the batch, so one is followed by the position it must have next. Where
that is unclear its rows begin a new request. This is the only source that holds rejected drafts: phase verify.
"""

from dataclasses import dataclass, field
from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np

from traces.importers.arrays import archived, members
from traces.request import DECODE, PROMPT, VERIFY, Reading, Request, Requests

ARRAYS = ("forward_mode", "pass_start", "positions", "topk_ids", "physical_to_logical", "extend_lens", "extend_start")
EXTEND, DECODED, MIXED, TARGET_VERIFY = 1, 2, 3, 5


@dataclass
class _Live:
    """A request that goes on: its rows so far, and where it may go on (low .. high)."""

    low: int = 0
    high: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)

    def extend(self, rows: np.ndarray, phase: int, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.rows.append(rows)
        self.phases.append(phase)


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


def _followed(held: dict[str, np.ndarray], path: Path, reading: Reading) -> list[_Live]:
    """All requests, in the order in which they begin."""
    window = _window(held, path, reading)
    everyone: list[_Live] = []
    running: list[_Live] = []  # in order of the batch
    waiting: list[_Live] = []  # prompts that are read, in order
    unclear = skipped = 0
    start, cuts = held["pass_start"], held["extend_start"]
    for number, mode in enumerate(held["forward_mode"]):
        rows = np.arange(start[number], start[number + 1])
        at = held["positions"][rows]
        if not len(rows) or mode not in (EXTEND, DECODED, MIXED, TARGET_VERIFY):
            skipped += len(rows)
            continue
        if mode in (EXTEND, MIXED):
            lengths = held["extend_lens"][cuts[number] : cuts[number + 1]]
            if lengths.sum() != len(rows):
                reading.faults.add("passes whose extend_lens are not their rows", f"{path.name} pass {number}")
                continue
            for part in np.split(rows, np.cumsum(lengths)[:-1]):
                first, last = int(held["positions"][part[0]]), int(held["positions"][part[-1]])
                known = [live for live in (*running, *waiting) if live.low <= first <= live.high and first]
                if len(known) == 1:
                    live = known[0]
                else:
                    live = _Live()
                    everyone.append(live)
                    waiting.append(live)
                    unclear += len(known) > 0
                live.extend(part, DECODE if live in running else PROMPT, last + 1, last + 1)
            continue
        size = window if mode == TARGET_VERIFY else 1
        if not size or len(rows) % size:
            continue  # said by _window
        firsts = at[::size]
        matched = _matched(firsts, [*running, *waiting])
        unclear += sum(live is None for live in matched) if running or waiting else 0
        running = []
        for part, first, match in zip(rows.reshape(-1, size), firsts.tolist(), matched, strict=True):
            live = match or _Live()
            if match is None:
                everyone.append(live)
            live.extend(part, VERIFY if mode == TARGET_VERIFY else DECODE, first + 1, first + size)
            running.append(live)
        waiting = [live for live in waiting if not any(live is other for other in running)]
    if unclear:
        reading.note(f"{unclear:,} times it was unclear which request went on: a new one begins there.")
    if skipped:
        reading.note(f"{skipped:,} rows of other passes (draft models, idle) are left out.")
    return everyone


def _matched(firsts: np.ndarray, live: list[_Live]) -> list[_Live | None]:
    """Which request goes on in each place of the batch; None where none can, or several might.

    All of them in order where they fit; else, position by position, those that are as many as the places.
    """
    if len(firsts) == len(live) and all(one.low <= p <= one.high for one, p in zip(live, firsts, strict=True)):
        return list(live)
    found: list[_Live | None] = [None] * len(firsts)
    for position in np.unique(firsts):
        places = np.flatnonzero(firsts == position)
        able = [one for one in live if one.low <= position <= one.high]
        if len(able) == len(places) and not any(one is other for one in able for other in found):
            for place, one in zip(places, able, strict=True):
                found[place] = one
    return found


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
