"""One pass over the routing of a trace, block by block of the memory map: the sums every statistic is made of.

An expert's age at a token is how many tokens ago its layer last used it, at most the tokens since the stretch began.
The windows of n tokens that meet this use of the expert first are those that begin within the age, so

    windows that contain expert e = sum over its uses of max(0, min(age, n) - max(0, n - 1 - rest))

with `rest` the tokens left in the stretch: exact, for every n at once, without forming a window. Ages and rests
beyond DEEPEST make no difference to windows of up to DEEPEST tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from traces.describe.jackknife import by_group
from traces.describe.rows import Rows

DEEPEST = 32  # tokens of the widest window and of the farthest lag
LAGS = (1, 2, 4, 8, 16, 32)
WINDOWS = (1, 2, 4, 8)  # draft lengths 0, 1, 3, 7: met with other requests' in a batch
BLOCK = 1 << 16  # tokens handled at once


@dataclass(frozen=True)
class Routing:
    """Sums over the described tokens by jackknife group.

    uses [groups, layers, experts]; tokens [groups].
    firsts [groups, layers, rest, age]: uses of an expert, by tokens left in the stretch (from 0) and age (from 1).
    shared [groups, layers, lags]: experts in common of two tokens of a stretch; pairs [groups, lags]: such pairs.
    alike [groups, layers]: experts in common of a random pair of tokens of one request, times the request's tokens;
    paired [groups]: the tokens it is summed over (requests of one token have no pair).
    holds [groups, layers, windows, experts]: share of a request's windows that contain the expert, summed over
    requests; held [groups, windows]: requests with such a window.
    """

    uses: np.ndarray
    tokens: np.ndarray
    firsts: np.ndarray
    shared: np.ndarray
    pairs: np.ndarray
    alike: np.ndarray
    paired: np.ndarray
    holds: np.ndarray
    held: np.ndarray


def routing(
    experts: np.ndarray, count: int, rows: Rows, progress: Callable[[int, int], None] = lambda done, total: None
) -> Routing:
    """Sums over experts [tokens, layers, top_k] of `count` experts; progress is told (tokens done, tokens in all)."""
    tokens, groups, layers = rows.tokens, int(rows.group.max()) + 1, experts.shape[1]
    windows = np.stack([rows.windows(size) for size in WINDOWS], axis=1)
    pairs = np.stack([rows.windows(lag + 1) for lag in LAGS], axis=1)
    sums = Routing(
        uses=np.zeros((groups, layers, count)),
        tokens=by_group(tokens, rows.group, groups),
        firsts=np.zeros((groups, layers, DEEPEST, DEEPEST)),
        shared=np.zeros((groups, layers, len(LAGS))),
        pairs=by_group(pairs, rows.group, groups),
        alike=np.zeros((groups, layers)),
        paired=by_group(np.where(tokens > 1, tokens, 0), rows.group, groups),
        holds=np.zeros((groups, layers, len(WINDOWS), count)),
        held=by_group((windows > 0).astype(np.int64), rows.group, groups),
    )
    begun = np.zeros((layers, len(WINDOWS), count))  # of a request that goes on in the next block
    ends = np.cumsum(tokens)
    for low in range(0, len(rows.index), BLOCK):
        high = min(low + BLOCK, len(rows.index))
        halo = min(low, DEEPEST)
        block = _Block.of(rows, low - halo, high, halo)
        ids = np.asarray(experts[rows.index[low - halo : high]])
        done = int(np.searchsorted(ends, high, side="right")) - block.lowest  # requests that end in this block
        ended = slice(block.lowest, block.lowest + done)
        for layer in range(layers):
            chosen = np.ascontiguousarray(ids[:, layer])
            sums.shared[:, layer] += _shared(chosen, count, block, groups)
            firsts, contained = _uses(chosen, count, block, groups)
            sums.firsts[:, layer] += firsts
            contained[0] += begun[layer]
            begun[layer] = contained[done] if done < len(contained) else 0
            whole, of = contained[:done], rows.group[ended]
            used, size = whole[:, 0], tokens[ended, None]
            sums.uses[:, layer] += by_group(used, of, groups)
            again = (used * (used - 1)).sum(axis=1) / np.maximum(size[:, 0] - 1, 1)
            sums.alike[:, layer] += by_group(again, of, groups)
            share = whole / np.maximum(windows[ended, :, None], 1)
            sums.holds[:, layer] += by_group(share, of, groups)
        progress(high, len(rows.index))
    return sums


@dataclass(frozen=True)
class _Block:
    """Tokens of a block, `halo` of them of the block before: [tokens], except where said.

    request: counted from `lowest`. local: tokens before it in its stretch, at most DEEPEST; rest: after it.
    """

    halo: int
    lowest: int
    request: np.ndarray
    group: np.ndarray
    local: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, rows: Rows, low: int, high: int, halo: int) -> "_Block":
        at = np.arange(low, high)
        stretch = np.searchsorted(rows.first, at, side="right") - 1
        local = at - rows.first[stretch]
        rest = rows.length[stretch] - 1 - local
        request = rows.request[stretch]
        lowest = int(request[halo])
        group = rows.group[request]
        return cls(halo, lowest, request - lowest, group, np.minimum(local, DEEPEST), np.minimum(rest, DEEPEST - 1))


def _shared(ids: np.ndarray, count: int, block: _Block, groups: int) -> np.ndarray:
    """Experts in common of every two tokens of a stretch, by lag [groups, lags], from ids [tokens, top_k]."""
    bits = np.zeros((-(-count // 64), len(ids)), np.uint64)
    for chosen in ids.T:
        word, bit = chosen >> 6, np.uint64(1) << (chosen & 63).astype(np.uint64)
        for place, words in enumerate(bits):
            np.bitwise_or(words, bit, out=words, where=word == place)
    found = np.zeros((groups, len(LAGS)))
    for place, lag in enumerate(LAGS):
        first = max(block.halo, lag)
        if first >= len(ids):
            break
        later, earlier = slice(first, None), slice(first - lag, len(ids) - lag)
        common = np.bitwise_count(bits[:, later] & bits[:, earlier]).sum(axis=0)
        common[block.local[later] < lag] = 0
        found[:, place] = np.bincount(block.group[later], common, minlength=groups)
    return found


def _uses(ids: np.ndarray, count: int, block: _Block, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """(firsts [groups, rest, age], windows that contain an expert [requests, windows, experts]) of one layer."""
    flat = ids.ravel()
    order = np.argsort(flat, kind="stable")
    expert, at = flat[order].astype(np.int64), order // ids.shape[1]
    apart = np.diff(at, prepend=-1)
    apart[np.flatnonzero(np.diff(expert, prepend=-1))] = DEEPEST  # its first use in the block
    kept = at >= block.halo
    expert, at, apart = expert[kept], at[kept], apart[kept]
    age = np.minimum(np.minimum(apart, block.local[at] + 1), DEEPEST)
    rest = block.rest[at]
    shape = (groups, DEEPEST, DEEPEST)
    code = (block.group[at] * DEEPEST + rest) * DEEPEST + age - 1
    firsts = np.bincount(code, minlength=int(np.prod(shape))).reshape(shape)
    requests = int(block.request[-1]) + 1
    place, bins = block.request[at] * count + expert, requests * count
    contained = np.empty((requests, len(WINDOWS), count))
    for number, size in enumerate(WINDOWS):
        first = np.minimum(age, size) - np.maximum(size - 1 - rest, 0)
        seen = np.bincount(place, np.maximum(first, 0), minlength=bins)
        contained[:, number] = seen.reshape(requests, count)
    return firsts, contained
