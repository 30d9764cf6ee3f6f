"""The hottest rank of expert parallelism: experts dealt to ranks in contiguous runs, EP = 2, 4, 8, .. dividing E.

    by assignments    max over ranks of its token-expert pairs / their mean: what bounds compute
    by distinct       max over ranks of its distinct experts / their mean: what bounds memory traffic

both in each layer of a step, then averaged over layers and steps: 1 is even. Steps are drawn: 64 requests, none twice
where there are as many, each with one of its windows of n tokens at random, cut into disjoint batches; so all requests
count alike. Batches of more requests than the trace has are left out. `_se` is the Monte Carlo error over DRAWS draws.
Without batch: the limit of a large batch, the hottest rank's share of all uses, which popularity alone sets.
"""

import numpy as np
import polars as pl

from traces.describe.rows import Rows
from traces.describe.sums import WINDOWS
from traces.schema import Schema

SIZES = (1, 4, 16, 64)  # requests in a batch
DRAWS, MOST = 256, 64  # ranks beyond MOST are not studied

RANKS: Schema = {
    "ranks": pl.Int64,
    "batch": pl.Int64,  # null, as all below but assignments: a batch without end
    "window": pl.Int64,
    "assignments": pl.Float64,
    "assignments_se": pl.Float64,
    "distinct": pl.Float64,
    "distinct_se": pl.Float64,
    "draws": pl.Int64,
}


def degrees(experts: int) -> list[int]:
    """Powers of two that divide the number of experts, from 2 to at most MOST."""
    return [2**n for n in range(1, MOST.bit_length()) if experts % 2**n == 0]


def limit(uses: np.ndarray) -> pl.DataFrame:
    """RANKS without batch, of uses [layers, experts]."""
    rows = [
        {"ranks": ranks, "assignments": float(np.mean(_hottest(_by_rank(uses.T, ranks))))}
        for ranks in degrees(uses.shape[1])
    ]
    return pl.DataFrame([{name: row.get(name) for name in RANKS} for row in rows], schema=RANKS)


def ranks(experts: np.ndarray, count: int, rows: Rows, *, draws: int = DRAWS) -> pl.DataFrame:
    """RANKS of drawn steps over experts [tokens, layers, top_k] of `count` experts."""
    ways = degrees(count)
    found = []
    for window in WINDOWS:
        drawn = _Windows(rows, window)
        if not ways or not len(drawn.requests):
            continue
        rng = np.random.default_rng([0, window])  # the draws of a window do not depend on the others
        ratios = np.stack([_draw(experts, count, drawn, rng, ways) for _ in range(draws)])
        mean, error = ratios.mean(axis=0), ratios.std(axis=0, ddof=1) / np.sqrt(draws)
        for place, batch in enumerate(size for size in SIZES if size <= len(drawn.requests)):
            for number, way in enumerate(ways):
                pair = zip(mean[place, number], error[place, number], strict=True)
                found.append((way, batch, window, *(float(value) for both in pair for value in both), draws))
    return pl.DataFrame(found, schema=RANKS, orient="row").sort("ranks", "batch", "window")


class _Windows:
    """Windows of one size to draw from: requests that have one, and their windows in order of stretch."""

    def __init__(self, rows: Rows, size: int) -> None:
        self.rows, self.size = rows, size
        self.ends = np.cumsum(np.maximum(rows.length - size + 1, 0))
        in_all = rows.windows(size)
        self.requests = np.flatnonzero(in_all)
        self.many, self.before = in_all, np.cumsum(in_all) - in_all

    def draw(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """Rows of experts.safetensors [number, size] of one random window each of random requests."""
        chosen = rng.choice(self.requests, number, replace=len(self.requests) < number)
        place = self.before[chosen] + rng.integers(self.many[chosen])
        stretch = np.searchsorted(self.ends, place, side="right")
        back = self.ends[stretch] - place  # windows from this one to the stretch's last
        first = self.rows.first[stretch] + self.rows.length[stretch] - self.size + 1 - back
        return np.asarray(self.rows.index[first[:, None] + np.arange(self.size)])


def _draw(experts: np.ndarray, count: int, drawn: _Windows, rng: np.random.Generator, ways: list[int]) -> np.ndarray:
    """Hottest rank over mean [batches, degrees, 2] of one draw, by assignments and by distinct experts."""
    most = max(SIZES)
    at = drawn.draw(rng, most)
    ids = np.asarray(experts[at.ravel()], np.int64)
    layers = ids.shape[1]
    ids = ids.reshape(most, -1, layers, ids.shape[2])
    code = (ids * most + np.arange(most)[:, None, None, None]) * layers + np.arange(layers)[:, None]
    together = np.bincount(code.ravel(), minlength=count * most * layers).astype(np.int32)
    together = together.reshape(count, most, layers)  # experts first: sums and maxima over them are fast
    out = np.empty((len(SIZES), len(ways), 2))
    for place, batch in enumerate(SIZES):
        together = together.reshape(count, most // batch, -1, layers).sum(axis=2, dtype=np.int32)
        for kind, of in enumerate((together, (together > 0).astype(np.int32))):
            loads = _by_rank(of, ways[-1])
            for number in range(len(ways) - 1, -1, -1):
                out[place, number, kind] = _hottest(loads).mean()
                loads = loads[0::2] + loads[1::2]
    return out


def _by_rank(of: np.ndarray, ranks: int) -> np.ndarray:
    """Sums [ranks, ...] over contiguous runs of experts [experts, ...]."""
    return np.asarray(of.reshape(ranks, -1, *of.shape[1:]).sum(axis=1, dtype=of.dtype))


def _hottest(loads: np.ndarray) -> np.ndarray:
    return np.asarray(loads.max(axis=0) * (len(loads) / loads.sum(axis=0)))
