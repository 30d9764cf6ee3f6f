"""What a routing fit looks at: statistics of a text, each a ratio of sums over requests.

    overlap at lag g    mean over tokens t of |experts(t) & experts(t + g)| / top_k, both in one request
    distinct of n       mean over windows of n consecutive tokens of the experts in their union
    across              overlap of two tokens of different requests: sum_e C_e^2 - sum_r c_re^2, over the pairs
                        (c counts of a request, C of the text; leaving out r itself makes it unbiased)

Every window, pair and token counts the same. Requests are the clusters of dependence, so every sum is kept by
request: the error of a ratio follows from them by linearisation (Cochran, Sampling Techniques, 1977, ch. 6).
The text may be a memory map; it is read twice, a few thousand tokens at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from montecarlo.errors import InputError
from montecarlo.text import Text

LAGS = (1, 2, 4, 8, 16, 32, 64)
WINDOWS = (2, 4, 8, 16, 32)  # each twice the one before
BATCH = 1 << 14  # tokens looked at together


@dataclass(frozen=True)
class Statistics:
    """Sums by request of a text of R requests, L layers, E experts, top_k.

    tokens [R]; overlap [R, lags, L] and pairs [R, lags]; distinct [R, windows, L] and windows [R, windows];
    across [R, L]: pairs of equal experts with other requests / top_k; load [L, E] and load_error [L, E]: share
    of all choices of each expert and its standard error.
    """

    tokens: np.ndarray
    overlap: np.ndarray
    pairs: np.ndarray
    distinct: np.ndarray
    windows: np.ndarray
    across: np.ndarray
    load: np.ndarray
    load_error: np.ndarray
    top_k: int

    def of(self, requests: np.ndarray) -> dict[str, np.ndarray]:
        """Overlap [lags, L] and distinct [windows, L] over the requests given (indices, repeated ones count)."""
        overlap, pairs = self.overlap[requests].sum(axis=0), self.pairs[requests].sum(axis=0)
        distinct, windows = self.distinct[requests].sum(axis=0), self.windows[requests].sum(axis=0)
        return {
            "overlap": overlap / np.maximum(pairs, 1)[:, None],
            "distinct": distinct / np.maximum(windows, 1)[:, None],
        }

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Means [M, L] and each request's influence on them [R, M, L], M: across, overlap by lag, log distinct.

        The mean moves by the sum of the influences of what is added, so their squares sum to its variance.
        """
        total, everyone = self.tokens.sum(), np.arange(len(self.tokens))
        means, own = self.of(everyone), self.tokens * (total - self.tokens)
        across = self.across.sum(axis=0) / own.sum()
        log = np.log(np.maximum(means["distinct"], 1e-9))
        by_lag = (self.overlap - self.pairs[..., None] * means["overlap"]) / np.maximum(self.pairs.sum(0), 1)[:, None]
        by_window = self.distinct / np.maximum(self.windows.sum(0)[:, None] * means["distinct"], 1e-9)
        by_window = by_window - (self.windows / np.maximum(self.windows.sum(0), 1))[..., None]
        between = 2 * (self.across - own[:, None] * across) / own.sum()  # each pair belongs to two requests
        influence = np.concatenate([between[:, None], by_lag, by_window], axis=1)
        return np.concatenate([across[None], means["overlap"], log]), influence


def statistics(text: Text, experts: int, requests: np.ndarray | None = None) -> Statistics:
    """The statistics of a text of `experts` experts; of the given requests (indices) only, if given.

    Raises InputError where fewer than two requests, or none long enough, leave nothing to learn.
    """
    chosen = np.arange(text.requests) if requests is None else np.asarray(requests)
    if len(chosen) < 2 or text.lengths[chosen].max() <= LAGS[-1]:
        raise InputError(
            f"{len(chosen)} requests, the longest of {text.lengths[chosen].max(initial=0)} tokens: routing statistics "
            f"need 2 requests or more, and one of more than {LAGS[-1]} tokens"
        )
    layers, top_k = text.experts.shape[1:]
    total = np.zeros((layers, experts))
    for _, rows in _batches(text, chosen):
        total += _counts(rows, experts).sum(axis=0)
    count = len(chosen)
    across, squares, crossed = np.zeros((count, layers)), np.zeros((layers, experts)), np.zeros((layers, experts))
    overlap, pairs = np.zeros((count, len(LAGS), layers)), np.zeros((count, len(LAGS)))
    distinct, windows = np.zeros((count, len(WINDOWS), layers)), np.zeros((count, len(WINDOWS)))
    for place, rows in _batches(text, chosen):
        counts, tokens = _counts(rows, experts), rows.shape[1]
        across[place] = (counts * (total - counts)).sum(axis=2) / top_k
        squares += (counts**2).sum(axis=0)
        crossed += tokens * counts.sum(axis=0)
        token = bitsets(rows, experts)
        for i, lag in enumerate(LAGS):
            if lag < tokens:
                overlap[place, i] = _members(token[:, :-lag] & token[:, lag:]) / top_k
                pairs[place, i] = tokens - lag
        union = token
        for i, window in enumerate(WINDOWS):
            if window <= tokens:
                union = union[:, : -(window // 2)] | union[:, window // 2 :]
                distinct[place, i], windows[place, i] = _members(union), tokens - window + 1
    lengths = text.lengths[chosen].astype(np.float64)
    choices = top_k * lengths.sum()
    load = total / choices
    spread = squares - 2 * load * top_k * crossed + (load * top_k) ** 2 * (lengths**2).sum()
    return Statistics(
        tokens=lengths,
        overlap=overlap,
        pairs=pairs,
        distinct=distinct,
        windows=windows,
        across=across,
        load=load,
        load_error=np.sqrt(np.maximum(spread, 0) * count / (count - 1)) / choices,
        top_k=top_k,
    )


def _batches(text: Text, requests: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(places, experts [n, tokens, layers, top_k]) of neighbouring requests of equal length, few tokens at a time."""
    lengths, first = text.lengths[requests], 0
    while first < len(requests):
        last = first + 1
        while last < len(requests) and lengths[last] == lengths[first] and (last + 1 - first) * lengths[first] <= BATCH:
            last += 1
        rows = [text.experts[text.start[r] : text.start[r] + lengths[first]] for r in requests[first:last]]
        yield slice(first, last), np.stack(rows)
        first = last


def _counts(rows: np.ndarray, experts: int) -> np.ndarray:
    """How often each request [n] uses each expert, [n, layers, experts]."""
    requests, _, layers, _ = rows.shape
    lane = np.arange(requests)[:, None, None, None] * layers + np.arange(layers)[:, None]
    flat = np.bincount((lane * experts + rows).reshape(-1), minlength=requests * layers * experts)
    return flat.reshape(requests, layers, experts).astype(np.float64)


def bitsets(rows: np.ndarray, experts: int) -> np.ndarray:
    """Each token's experts as bits, [n, tokens, layers, words] (uint64)."""
    bit = np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64))
    word = rows >> 6
    words = [np.bitwise_or.reduce(np.where(word == w, bit, np.uint64(0)), axis=3) for w in range(-(-experts // 64))]
    return np.stack(words, axis=3)


def _members(sets: np.ndarray) -> np.ndarray:
    """Bits set, summed over tokens and words: [n, layers]."""
    return np.asarray(np.bitwise_count(sets).sum(axis=(1, 3), dtype=np.float64))
