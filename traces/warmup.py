"""Warm-up passes at the head of a file: rows that are all the same, as an engine's dummy profile run leaves them."""

from dataclasses import replace

import numpy as np

from traces.request import Reading, Request, Requests
from traces.tally import ENOUGH


def stripped(requests: Requests, reading: Reading) -> Requests:
    """The requests without the leading run of identical tokens of each file; how many were left out is noted.

    A run counts from ENOUGH equal choices on: (run - 1) x layers x top_k. A file of nothing else is kept whole.
    """
    left, files = 0, 0
    file: str | None = None
    waiting: list[Request] = []
    leading = True
    for request in requests:
        if request.file != file:
            yield from waiting
            file, waiting, leading = request.file, [], True
        if not leading or request.ids.ndim != 3 or not len(request.ids):
            yield request
            continue
        first = (waiting[0] if waiting else request).ids[0]
        same = first.shape == request.ids.shape[1:] and not (first < 0).any()
        cut = _run(request.ids, first) if same else 0
        if same and cut == len(request.ids):
            waiting.append(request)
            continue
        run = sum(len(other.ids) for other in waiting) + cut
        leading = False
        if (run - 1) * first.size < ENOUGH:
            yield from waiting
            yield request
        else:
            left, files = left + run, files + 1
            yield _without(request, cut)
        waiting = []
    yield from waiting
    if left:
        where = f" at the head of {files} files" if files > 1 else ""
        reading.note(f"{left:,} leading rows{where} are all the same: a warm-up pass, left out.")


def _run(ids: np.ndarray, first: np.ndarray, block: int = 4096) -> int:
    """How many leading tokens equal `first`."""
    for low in range(0, len(ids), block):
        other = (ids[low : low + block] != first).any(axis=(1, 2))
        if other.any():
            return low + int(np.argmax(other))
    return len(ids)


def _without(request: Request, cut: int) -> Request:
    at = request.position
    moved = at[cut:] if isinstance(at, np.ndarray) else at + cut
    return replace(request, ids=request.ids[cut:], phase=request.phase[cut:], position=moved)
