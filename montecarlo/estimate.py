"""What many worlds say: ratios with their Monte Carlo errors, and choices that are valued honestly.

A world's step seconds are already means over its batches, so worlds are independent draws and

    speedup(k) = T(k) sum_w s_w(0) / sum_w s_w(k),    T(k) = tokens per step

Its standard error is the delta method's for a ratio of means, paired world by world (Cochran, Sampling
Techniques, 3rd ed., section 6.3; common random numbers: Glasserman and Yao, Management Science 38(6), 1992).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RECOMMENDED_WITHIN = 0.01  # the recommended length is the shortest within 1 % of the best
NEAR_BEST_ERRORS = 2.0  # lengths whose paired difference from the best is within this many standard errors


def mean(values: Floats, axis: int = 0) -> Floats:
    """Mean over one axis, added up in the same order whatever the other axes are: exactly repeatable cell by cell."""
    return np.asarray(np.ascontiguousarray(np.moveaxis(values, axis, -1)).mean(axis=-1))


def speedup(tokens: Floats, undrafted: Floats, drafted: Floats) -> tuple[Floats, Floats]:
    """(speedup, its Monte Carlo standard error), worlds along the first axis; other axes broadcast."""
    value = tokens * mean(undrafted) / mean(drafted)
    return value, value * _standard_error(deviation(undrafted, drafted))


def deviation(numerator: Floats, denominator: Floats) -> Floats:
    """What each world adds to a ratio of means, as a share of it (delta method) [worlds, ...]; 0 in the mean."""
    return np.asarray(numerator / mean(numerator) - denominator / mean(denominator))


def difference_error(first: Floats, second: Floats, common: int) -> Floats:
    """Standard error of a difference of two estimates, `deviation`s times their values [worlds of each, ...].

    a_w, b_w of the two, on A and B worlds of which the first `common` are the same draws (0: none is):

        se^2 = sum_w (a_w / A - b_w / B)^2        a_w, b_w: 0 where that one has no world w

    with A (A - 1) for A^2, as the mean is taken out; so at least two worlds of each. What the two share cancels: paired
    where all worlds are common, the root of the sum of squares where none is.
    """
    one, other = (values / np.sqrt(len(values) * (len(values) - 1)) for values in (first, second))
    squares = [(one[:common] - other[:common]) ** 2, one[common:] ** 2, other[common:] ** 2]
    return np.asarray(np.sqrt(sum(part.sum(axis=0) for part in squares)))


def _standard_error(deviation: Floats) -> Floats:
    """Standard error of the mean over worlds; infinite for one world, which shows no spread."""
    worlds = len(deviation)
    if worlds < 2:
        return np.where(np.ptp(deviation, axis=0) + np.abs(deviation[0]) == 0, 0.0, np.inf)
    return np.sqrt(mean((deviation - mean(deviation)) ** 2) / (worlds - 1))


@dataclass(frozen=True)
class Best:
    """The best of several lengths, as indices into them.

    value, value_error: honest speedup (chosen on one half of the worlds, valued on the other, both ways) and
    the Monte Carlo error of the chosen length's speedup. share: of the worlds in which it is the best.
    noise: mean difference of the lengths that random halves choose.
    """

    best: int
    recommended: int
    near: tuple[int, ...]
    value: float
    value_error: float
    share: float
    noise: float


def best_length(
    lengths: NDArray[np.int64], tokens: Floats, undrafted: Floats, drafted: Floats, halves: NDArray[np.bool_]
) -> Best:
    """Choose among `lengths` [K] (ascending; ties go to the shorter).

    tokens [K]; undrafted [worlds]; drafted [worlds, K]; halves [splits, worlds]: which worlds choose, for the
    honest value (first split) and for the noise (all splits).
    """
    overall = tokens / mean(drafted)
    best = int(np.argmax(overall))
    worse = 1 - overall / overall[best]
    relative = drafted / mean(drafted)
    error = _standard_error(relative - relative[:, [best]])
    near = np.flatnonzero(worse <= np.where(np.isinf(error), 0.0, NEAR_BEST_ERRORS * error))
    in_world = np.argmax(tokens / drafted, axis=1)
    _, value_error = speedup(tokens[best], undrafted, drafted[:, best])
    value = honest_value(tokens, undrafted, drafted, halves[0])
    chosen = np.array(
        [[choose(tokens, drafted[side]) for side in (half, ~half)] for half in halves if 0 < half.sum() < len(half)]
    )
    noise = float(np.mean(np.abs(np.diff(lengths[chosen], axis=1)))) if chosen.size else np.nan
    return Best(
        best=best,
        recommended=int(np.flatnonzero(worse <= RECOMMENDED_WITHIN)[0]),
        near=tuple(int(k) for k in near),
        value=value,
        value_error=float(value_error),
        share=float(np.mean(in_world == best)),
        noise=noise,
    )


def choose(tokens: Floats, drafted: Floats) -> int:
    """Index of the length with the highest rate on these worlds; ties go to the shorter."""
    return int(np.argmax(tokens / mean(drafted)))


def honest_value(
    tokens: Floats, undrafted: Floats, drafted: Floats, half: NDArray[np.bool_], fixed: int | None = None
) -> float:
    """Speedup of the best length, chosen on one half of the worlds and valued on the other, both ways averaged.

    With `fixed` that length is valued instead, on the same halves. One world is its own other half.
    """
    sides = [(half, ~half), (~half, half)] if 0 < half.sum() < len(half) else [(np.full(len(half), True),) * 2]
    values = []
    for choosing, valuing in sides:
        k = choose(tokens, drafted[choosing]) if fixed is None else fixed
        values.append(tokens[k] * undrafted[valuing].mean() / drafted[valuing, k].mean())
    return float(np.mean(values))


def sign_changes(batches: NDArray[np.int64], drafting: Floats) -> list[tuple[int, int, bool]]:
    """Where drafting starts or stops paying along `batches` (ascending).

    drafting: speedup of the best length of at least 1. Returns (batch below, batch above, pays above), as many
    as there are: a gutter is a stop followed by a start.
    """
    pays = drafting > 1
    at = np.flatnonzero(pays[1:] != pays[:-1])
    return [(int(batches[i]), int(batches[i + 1]), bool(pays[i + 1])) for i in at]


def between_replicates(estimates: Floats, errors: Floats) -> Floats:
    """Standard deviation between bootstrap replicates (first axis), less the Monte Carlo error inside each.

    var(estimates) - mean(errors^2): what another trace of as many requests would move. A spread smaller than the
    bootstrap can resolve is not called 0: never below one standard error of the variance, var sqrt(2 / (n - 1)).
    """
    spread = estimates.var(axis=0, ddof=1)
    resolved = spread * np.sqrt(2 / (len(estimates) - 1))
    return np.asarray(np.sqrt(np.maximum(spread - np.mean(errors**2, axis=0), resolved)))


def gutters(batches: np.ndarray, lengths: np.ndarray) -> list[tuple[int, int, str]]:
    """(first batch, last batch, kind) of each run of ascending batches whose best length is 0.

    Kind: `gutter` where drafting pays on both sides, `below` or `above` where it pays on that side only (of the
    batches given), `everywhere` where it pays at none.
    """
    off = np.concatenate([[0], (np.asarray(lengths) == 0).astype(int), [0]])
    starts, stops = np.flatnonzero(np.diff(off) == 1), np.flatnonzero(np.diff(off) == -1)
    found = []
    for start, stop in zip(starts, stops, strict=True):
        below, above = start > 0, stop < len(batches)
        kind = "gutter" if below and above else "below" if below else "above" if above else "everywhere"
        found.append((int(batches[start]), int(batches[stop - 1]), kind))
    return found
