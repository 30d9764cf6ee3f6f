"""Batch steps per second of the walk, on one core, after compile: walk, deal, windows, unions, verify and draft priced.

dense   llama-3-70b, 128 slots, k = 3
moe     43 layers, 256 experts, top 6 (deepseek-v4-flash), 64 slots, k = 3
"""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from montecarlo import closed_loop, windows
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3
from montecarlo.surface import Recording
from montecarlo.text import Text
from montecarlo.walk import walk
from studies import catalog

TOKENS, PER_SLOT, LENGTH, ALPHA = 256, 4, 3, 0.7
DENSE_SLOTS, MOE_SLOTS, EXPERTS, LAYERS, TOP_K = 128, 64, 256, 43, 6


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure, measured on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield from _figures()
    finally:
        os.sched_setaffinity(0, allowed)


def _figures() -> Iterator[tuple[str, str]]:
    dense, moe = _prices("llama-3-70b"), _prices("deepseek-v4-flash")
    yield f"walk, dense, batch {DENSE_SLOTS}, k = {LENGTH}", f"{_rate(lambda: _dense(dense)):,.0f} steps/s"
    recording = _recording()
    name = f"{LAYERS} layers, {EXPERTS} experts, top {TOP_K}, batch {MOE_SLOTS}, k = {LENGTH}"
    yield f"walk, {name}", f"{_rate(lambda: _moe(moe, recording)):,.0f} steps/s"


def _prices(target: str) -> Ideal:
    known = catalog.target(target)
    return Ideal(known, catalog.hardware("b200-sxm"), Eagle3.of(known))


def _rate(work: Callable[[], int], repeats: int = 5) -> float:
    """Steps per CPU second, the best of `repeats` after one run to compile."""
    work()
    found = 0.0
    for _ in range(repeats):
        before = time.process_time()
        steps = work()
        found = max(found, steps / (time.process_time() - before))
    return found


def _runs(requests: int) -> np.ndarray:
    return np.random.default_rng(0).geometric(1 - ALPHA, requests * TOKENS) - 1


def _dense(prices: Ideal, requests: int = DENSE_SLOTS * PER_SLOT) -> int:
    start = np.arange(requests) * TOKENS
    steps = walk(start, np.full(requests, TOKENS), _runs(requests), LENGTH)
    dealt = closed_loop.batches(steps, DENSE_SLOTS, PER_SLOT, seed=0, world=0)
    closed_loop.verify_seconds(prices, steps, dealt, 1000, None)
    closed_loop.draft_seconds(prices, steps, dealt, 1000, np.ones(1))
    return len(dealt.at)


def _recording(requests: int = MOE_SLOTS * PER_SLOT) -> Recording:
    rng = np.random.default_rng(1)
    first = rng.integers(EXPERTS, size=(requests * TOKENS, LAYERS, 1))
    odd = 1 + 2 * rng.integers(EXPERTS // 2, size=first.shape)  # distinct experts of a token: first, first + odd, ...
    ids = ((first + odd * np.arange(TOP_K)) % EXPERTS).astype(np.uint8)
    return Recording.of(Text.of(experts=ids, start=np.arange(0, len(ids) + 1, TOKENS)), EXPERTS)


def _moe(prices: Ideal, recording: Recording) -> int:
    text = recording.text
    steps = walk(text.start[: text.requests], text.lengths, _runs(text.requests), LENGTH)
    dealt = closed_loop.batches(steps, MOE_SLOTS, PER_SLOT, seed=0, world=0)
    rows = windows.rows(steps, text, tail="request", seed=0, world=0)
    distinct = windows.distinct(*windows.held(recording, rows), dealt.at)
    closed_loop.verify_seconds(prices, steps, dealt, 1000, distinct)
    closed_loop.draft_seconds(prices, steps, dealt, 1000, np.ones(1))
    return len(dealt.at)


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name:<78} {value}", flush=True)
