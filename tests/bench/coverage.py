"""The standard problem of the coverage engine, against two NumPy programs a user might write.

10,000 draws x batches 1, 2, 4, .. 512 x draft lengths 0..8; 43 MoE layers, 256 experts (8 words), windows from a
pool of 65,536 tokens: 63 GB of bitsets to read. All in CPU seconds on one core, on draws of the same pool.

    naive   every cell on its own: gather the windows, OR them, count bits
    lean    one pass over the sequences, acc |= window, counted where a batch is complete
    ours    one world: 512 requests in disjoint groups, so every draw holds 512 batches of 1, 256 of 2, ...

A draw of naive and lean holds one batch of each size. So two ratios are given: for the same number of draws, and
for the same worst relative standard error of any cell, which is what a user waits for.
"""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from montecarlo import coverage, routing, surface
from montecarlo.keys import Stream, key
from montecarlo.text import Text
from traces import profiles

DRAWS, REQUESTS, LENGTHS, LAYERS, EXPERTS, TOP_K = 10_000, 512, 9, 43, 256, 6
BATCHES = tuple(2**i for i in range(10))
TOKENS, PER_REQUEST = 65_536, 128


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure, measured on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield from _figures()
    finally:
        os.sched_setaffinity(0, allowed)


def _figures() -> Iterator[tuple[str, str]]:
    text = _text()
    recording = surface.Recording.of(text, EXPERTS)
    pool = np.asarray(recording.pool).transpose(0, 2, 1).copy()  # [tokens, layers, words], as a user would
    starts = np.random.default_rng(1).integers(0, PER_REQUEST - LENGTHS, (400, REQUESTS)) + text.start[:-1]
    naive, naive_counts = _cpu(lambda d: _naive(pool, starts[d]), 3)
    lean, lean_counts = _cpu(lambda d: _lean(pool, starts[d]), 400)
    assert all(np.array_equal(a, b) for a, b in zip(naive_counts, lean_counts, strict=False))
    survival = np.full(LENGTHS - 1, 0.7)

    def world(draw: int) -> np.ndarray:
        return surface.replayed(
            recording,
            survival,
            seed=0,
            world=draw,
            step=0,
            requests=REQUESTS,
            batches=BATCHES,
            tail="text",
        )

    world(0)  # compile
    ours, ours_counts = _cpu(world, 60)
    slices = coverage.group_slices(REQUESTS, BATCHES)
    single = np.stack([counts.mean(axis=2) for counts in lean_counts])  # [draws, batches, lengths]
    grouped = np.stack([[c[:, g].mean(axis=(1, 2)) for g in slices] for c in ours_counts])
    worst = np.max(single.std(axis=0, ddof=1) / single.mean(axis=0)) / np.sqrt(DRAWS)
    needed = float(np.max((grouped.std(axis=0, ddof=1) / grouped.mean(axis=0)) ** 2)) / worst**2
    read = DRAWS * REQUESTS * LENGTHS * LAYERS * EXPERTS / 8
    limit = read / _cache_bandwidth()
    yield "standard problem, naive NumPy", f"{naive * DRAWS:.0f} CPU s"
    yield "standard problem, lean NumPy", f"{lean * DRAWS:.1f} CPU s"
    yield "naive / lean", f"{naive / lean:.1f}"
    yield "standard problem, ours, 10,000 worlds (each 512 batches of 1, 256 of 2, ...)", f"{ours * DRAWS:.1f} CPU s"
    yield "naive / ours, same number of draws", f"{naive / ours:.1f}"
    yield "worlds that reach the worst relative standard error of 10,000 draws", f"{needed:.0f} ({100 * worst:.3f} %)"
    yield "naive / ours, same worst relative standard error", f"{naive * DRAWS / (ours * needed):.0f}"
    yield "lean / ours, same worst relative standard error", f"{lean * DRAWS / (ours * needed):.0f}"
    yield "reading 63 GB from the L2 cache (one core, measured)", f"{limit:.2f} s"
    yield "ours / L2 limit, same number of draws", f"{ours * DRAWS / limit:.1f}"


def _text() -> Text:
    """512 synthetic requests of 128 tokens with topics and stickiness."""
    requests = TOKENS // PER_REQUEST
    process = profiles.routing(profiles.load("gpt-oss-20b"), layers=LAYERS, experts=EXPERTS, top_k=TOP_K)
    never = np.full(requests, PER_REQUEST, np.int32)
    experts = routing.sample(process, key(0, 0, Stream.TEXT), never, tokens=PER_REQUEST, requests=requests)
    rows = np.asarray(experts).astype(np.uint8).transpose(2, 0, 3, 1).reshape(TOKENS, LAYERS, TOP_K)
    return Text.of(experts=rows, start=np.arange(0, TOKENS + 1, PER_REQUEST))


def _cpu(work: Callable[[int], np.ndarray], draws: int) -> tuple[float, list[np.ndarray]]:
    """CPU seconds per draw, and what was counted."""
    before = time.process_time()
    counted = [work(draw) for draw in range(draws)]
    return (time.process_time() - before) / draws, counted


def _naive(pool: np.ndarray, starts: np.ndarray) -> np.ndarray:
    counts = np.empty((len(BATCHES), LENGTHS, LAYERS), np.uint16)
    for b, batch in enumerate(BATCHES):
        for k in range(LENGTHS):
            windows = pool[(starts[:batch, None] + np.arange(k + 1)).ravel()]
            counts[b, k] = np.bitwise_count(np.bitwise_or.reduce(windows, axis=0)).sum(axis=-1)
    return counts


def _lean(pool: np.ndarray, starts: np.ndarray) -> np.ndarray:
    counts = np.empty((len(BATCHES), LENGTHS, LAYERS), np.uint16)
    union = np.zeros((LENGTHS, *pool.shape[1:]), np.uint32)
    for sequence, start in enumerate(starts, 1):
        union |= pool[start : start + LENGTHS]
        if sequence in BATCHES:
            nested = np.bitwise_or.accumulate(union, axis=0)
            counts[BATCHES.index(sequence)] = np.bitwise_count(nested).sum(axis=-1)
    return counts


def _cache_bandwidth(size: int = 1 << 20, repeats: int = 400) -> float:
    """Bytes per second that one core ORs together from an array of `size` bytes, which fits in L2."""
    array = np.ones(size // 8, np.uint64).reshape(-1, 2048)
    best = np.inf
    for _ in range(5):
        before = time.perf_counter()
        for _ in range(repeats):
            np.bitwise_or.reduce(array, axis=0)
        best = min(best, time.perf_counter() - before)
    return size * repeats / best
