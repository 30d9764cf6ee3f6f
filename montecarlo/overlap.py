"""Mean distinct experts of a step of B sequences x T tokens, in closed form.

    D(B, T) = sum_e 1 - (1 - pi_e)^(B n(T))          pi_e = P(expert e in a token)

Uniform routing: pi_e = top_k / E and n(T) = T, the post's A(t) with t = B T.
Measured overlap: different sequences are independent given the popularity (width), and neighbouring tokens share
experts (depth): a window of T tokens of one sequence touches what n(T) <= T independent ones would, where

    D(1, T) = ratio(T) E (1 - (1 - top_k / E)^T)     ratio: measured distinct experts over uniform, by window

Past the last measured window n goes on with its last slope. Carried over to another number of experts, the
popularity keeps its shape over relative rank and the ratio its value at each window: a stated assumption.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from montecarlo.errors import InputError
from montecarlo.exact import mean_distinct
from montecarlo.roofline import Floats


@dataclass(frozen=True)
class Overlap:
    """inclusion: pi [experts]. windows, independent: n(T) at measured T, both ascending; empty for n(T) = T."""

    inclusion: np.ndarray
    windows: np.ndarray
    independent: np.ndarray

    @classmethod
    def uniform(cls, experts: int, top_k: int) -> "Overlap":
        """Every expert alike, every token on its own."""
        return cls(np.full(experts, top_k / experts), np.empty(0), np.empty(0))

    @classmethod
    def of(
        cls, *, experts: int, top_k: int, popularity: ArrayLike, windows: ArrayLike = (), ratio: ArrayLike = ()
    ) -> "Overlap":
        """From a popularity (any positive weights, any number of experts) and the `ratio` at each of `windows`.

        Raises InputError for ratios that no overlap can have.
        """
        shares = np.sort(np.asarray(popularity, np.float64))[::-1]
        if shares.ndim != 1 or not shares.size or not np.all(shares > 0):
            raise InputError("overlap popularity must be a list of positive shares")
        cumulative = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
        ranks = np.linspace(0, 1, experts + 1)
        touched = _inclusion(np.diff(np.interp(ranks, np.linspace(0, 1, shares.size + 1), cumulative)), top_k)
        at, ratios = np.asarray(windows, np.float64), np.asarray(ratio, np.float64)
        if at.shape != ratios.shape or np.any(np.diff(at) <= 0) or np.any(at < 1):
            raise InputError("overlap windows must ascend from 1, with a ratio each")
        if np.any(ratios <= 0) or np.any(ratios > 1 + 1e-9):
            raise InputError("overlap ratios of measured to uniform must be above 0 and at most 1")
        # a wider window never touches fewer experts, which the kept ratio alone would have it do near saturation
        wanted = np.maximum.accumulate(np.maximum(ratios * mean_distinct(experts, top_k, at), top_k))
        found = np.asarray(
            [_independent(touched, distinct, window) for distinct, window in zip(wanted, at, strict=True)]
        )
        return cls(touched, at, found)

    def without_depth(self) -> "Overlap":
        """The same popularity with neighbouring tokens on their own."""
        return Overlap(self.inclusion, np.empty(0), np.empty(0))

    def tokens(self, window: ArrayLike) -> Floats:
        """n(T): how many independent tokens touch as many experts as a window of T."""
        asked = np.asarray(window, np.float64)
        if not self.windows.size:
            return asked
        slope = 0.0
        if self.windows.size > 1:
            slope = (self.independent[-1] - self.independent[-2]) / (self.windows[-1] - self.windows[-2])
        beyond = np.maximum(asked - self.windows[-1], 0.0) * slope
        return np.asarray(np.interp(asked, self.windows, self.independent) + beyond)

    def distinct(self, batch: ArrayLike, window: ArrayLike) -> Floats:
        """Mean distinct experts of `batch` sequences x `window` tokens; shapes broadcast."""
        count = np.asarray(np.multiply(batch, self.tokens(window)), np.float64)
        if np.ptp(self.inclusion) == 0:  # all alike: one term for all
            share = self.inclusion[0]
            if share == 1:
                return np.where(count > 0, float(self.inclusion.size), 0.0)
            return np.asarray(self.inclusion.size * -np.expm1(count * np.log1p(-share)))
        unique, place = np.unique(count, return_inverse=True)
        missing = np.log1p(-np.minimum(self.inclusion, 1 - 1e-16))
        touched = -np.expm1(unique[:, None] * missing).sum(axis=1)
        return np.asarray(touched[place].reshape(count.shape))


def _inclusion(shares: np.ndarray, top_k: int) -> np.ndarray:
    """P(expert in a token) for shares of all choices: top_k x share, none above 1, and top_k in all."""
    found = np.minimum(top_k * shares, 1.0)
    for _ in range(shares.size):
        missing = top_k - found.sum()
        free = found < 1
        if missing < 1e-12 * top_k or not free.any():
            break
        found = np.minimum(np.where(free, found * (1 + missing / found[free].sum()), found), 1.0)
    return found


def _independent(touched: np.ndarray, distinct: float, most: float) -> float:
    """The n with sum_e 1 - (1 - pi_e)^n = distinct, at most `most`: overlap never spreads a window wider."""
    missing = np.log1p(-np.minimum(touched, 1 - 1e-16))

    def excess(count: float) -> float:
        return float(-np.expm1(count * missing).sum() - distinct)

    return float(most) if excess(most) <= 0 else float(brentq(excess, 0.0, most, xtol=1e-12))
