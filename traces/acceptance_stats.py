"""How accepted drafts vary between requests and along them: four estimators, of steps that no text end cut.

a_ri = drafts accepted in step i of request r, n_r its steps, N = sum n_r, R requests

    survival    share of the steps that drafted at least d and accepted at least d
    ICC         (MSB - MSW) / (MSB + (n0 - 1) MSW), one-way analysis of variance by request, where
                n0 = (N - sum n_r^2 / N) / (R - 1) (Donner, Int. Statistical Review 54, 1986)
    lag-1       c1 / c0, within turns (r runs over turns): c0 = sum e^2 / (N - R), e demeaned by turn;
                c1 = sum_r [ sum_i e_i e_(i+1) + c0 (n_r - 1) / n_r ] / (N - R): the second term undoes what
                demeaning costs independent steps
    spread      variance of the sum of `block` steps in a row (blocks of one turn that do not overlap)
                over `block` times the variance of one step in these blocks: 1 for i.i.d.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.step_log import StepLog

Floats = NDArray[np.float64]

BLOCK = 32


@dataclass(frozen=True)
class Figures:
    """survival [depths]; the others are numbers, nan where the log is too short for them or nothing varies."""

    survival: Floats
    icc: float
    lag_one: float
    spread: float

    def flat(self) -> Floats:
        """All of them [depths + 3]: survival, ICC, lag-1, spread."""
        return np.concatenate([self.survival, [self.icc, self.lag_one, self.spread]])


def figures(log: StepLog) -> Figures:
    """The four of one log."""
    whole = ~log.cut
    request, accepted = log.request[whole], log.accepted[whole].astype(np.float64)
    depths = np.arange(1, log.draft_length + 1)
    asked = log.drafted[whole][:, None] >= depths
    survival = np.sum(asked & (accepted[:, None] >= depths), axis=0) / np.maximum(asked.sum(axis=0), 1)
    turn = np.cumsum((np.diff(log.request, prepend=0) != 0) | (np.diff(log.turn, prepend=0) != 0))[whole]
    return Figures(survival, icc(request, accepted), lag_one(turn, accepted), spread(turn, accepted))


def _moments(labels: NDArray[np.int64], values: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """(group of each value from 0, counts, means) of the labels there are."""
    group = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(group).astype(np.float64)
    return group, counts, np.bincount(group, values) / counts


def _ratio(part: float, whole: float) -> float:
    """nan where nothing varies."""
    return float(part / whole) if whole > 0 else float("nan")


def icc(request: NDArray[np.int64], values: Floats) -> float:
    """Intra-class correlation of `values` [steps] by `request` [steps]."""
    group, counts, means = _moments(request, values)
    total, groups = counts.sum(), len(counts)
    if groups < 2 or total <= groups:
        return float("nan")
    between = np.sum(counts * (means - values.mean()) ** 2) / (groups - 1)
    within = np.sum((values - means[group]) ** 2) / (total - groups)
    typical = (total - np.sum(counts**2) / total) / (groups - 1)
    return _ratio(between - within, between + (typical - 1) * within)


def lag_one(turn: NDArray[np.int64], values: Floats) -> float:
    """Correlation of neighbouring steps within a turn; `turn` [steps] in order."""
    group, counts, means = _moments(turn, values)
    free = counts.sum() - len(counts)
    if free < 1:
        return float("nan")
    rest = values - means[group]
    variance = np.sum(rest**2) / free
    products = np.sum((rest[:-1] * rest[1:])[group[:-1] == group[1:]])
    return _ratio((products + variance * np.sum((counts - 1) / counts)) / free, variance)


def spread(turn: NDArray[np.int64], values: Floats, block: int = BLOCK) -> float:
    """Variance of sums over `block` steps, as a multiple of what independent steps have."""
    group, counts, _ = _moments(turn, values)
    place = np.arange(len(group)) - (np.cumsum(counts) - counts)[group]
    kept = place < (counts // block * block)[group]
    sums = values[kept].reshape(-1, block).sum(axis=1)
    if len(sums) < 2:
        return float("nan")
    return _ratio(sums.var(ddof=1), block * values[kept].var(ddof=1))
