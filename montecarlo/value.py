"""What knowing is worth: the throughput that is gained by choosing the draft length after, not before, a measurement.

Draws theta of the unknowns; actions a, each a static draft length; utility U(theta, a) = log throughput, so
differences are ratios and one draw of a fast machine does not outweigh the rest. With d what is known:

    value(d) = E_d[ max_a E[U(theta, a) | d] ] - max_a E[U(theta, a)]

EVPI: d is all of theta (Howard, IEEE Trans. SSC 2, 1966). EVPPI: d is one unknown or a group of them, and E[U | d] a
regression of U on d (Strong, Oakley and Brennan, Medical Decision Making 34, 2014). EVSI: d is a summary of data
simulated at each theta, and so is the regression (Strong, Oakley, Brennan and Breeze, same journal 35, 2015).

U is known only as a mean over inner worlds, and the maximum of noisy means is too high. Here nothing is valued by
what chose it: U comes from two halves of the inner worlds, choices are made on one half and on other draws of theta
(for EVPI the same draw), and valued on the other half, both ways averaged. What is reported is then what a
policy that one could follow is worth: noise and a poor regression can only make it smaller, below 0 within its error.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montecarlo.estimate import Floats, mean
from montecarlo.smoothing import Spline, normal_scores

Integers = NDArray[np.int64]

FOLDS = 5  # each fold of the draws is decided by the four others


@dataclass(frozen=True)
class Worth:
    """gains [draws, ...]: log throughput of acting on what is known, less that of acting on the priors alone.

    Gains of several measurements on the same draws are paired: Worth(b.gains - a.gains) is how much more b is worth.
    """

    gains: Floats

    @property
    def value(self) -> Floats:
        """Mean gain [...], in log throughput."""
        return mean(self.gains)

    @property
    def error(self) -> Floats:
        """Standard error of `value` over the draws [...].

        The choices are taken as given: they are near the best, where another choice changes little.
        """
        return np.asarray(self.gains.std(axis=0, ddof=1) / np.sqrt(len(self.gains)))

    @property
    def percent(self) -> Floats:
        """Throughput gained [...], in percent (geometric mean over the draws): 100 (exp(value) - 1)."""
        return np.asarray(100 * np.expm1(self.value))

    @property
    def percent_error(self) -> Floats:
        """Standard error of `percent` [...]."""
        return np.asarray(100 * np.exp(self.value) * self.error)


def evpi(utility: Floats) -> Worth:
    """Worth of knowing everything. utility: log throughput [2 halves, draws, ..., actions], the shortest length first.

    Ties go to the first action. Where noise of variance v is on the difference of two actions in a half, the
    policy misses about v / 2 times the density of that difference at 0: a lower bound; `evpi_at_most` is the upper one.
    """
    return Worth(_gains(utility, lambda contrasts, fold: contrasts[_folds(len(contrasts)) == fold]))


def evpi_at_most(utility: Floats) -> Worth:
    """The EVPI as all inner worlds show it when they also choose: too high by about half of what `evpi` misses.

    utility as in `evpi`. Not honest: noise alone shows a value. The bracket closes with more inner worlds.
    """
    return evpi(np.broadcast_to(np.mean(utility, axis=0), utility.shape))


def evppi(utility: Floats, known: Floats) -> Worth:
    """Worth of knowing one unknown or a group: `known` [draws] or [draws, dimensions], at the draws of `utility`.

    utility as in `evpi`. EVSI is the same with `known` a summary of data simulated at each draw, of few dimensions:
    the estimates one would report, such as the posterior means. Draws must be independent, and so must their inner
    worlds be if the error is to hold the inner noise; halves protect the value even where all draws share them.
    """
    columns = np.asarray(known, np.float64)
    points, folds = normal_scores(columns.reshape(len(columns), -1)), _folds(len(columns))
    splines = [Spline.at(points[folds != fold]) for fold in range(FOLDS)]
    return Worth(
        _gains(utility, lambda contrasts, fold: splines[fold].predict(contrasts[folds != fold], points[folds == fold]))
    )


def _folds(draws: int) -> Integers:
    """The fold of each draw [draws]."""
    return np.arange(draws) % FOLDS


def _gains(utility: Floats, expected: Callable[[Floats, int], Floats]) -> Floats:
    """Gains [draws, ...] where `expected` decides the draws of each fold.

    It takes U less that of the best action on the priors alone [draws, cells * actions] and the number of a fold, and
    gives what is expected of it given what is known, for the draws of that fold [decided, cells * actions].
    """
    halves, draws, *cells, actions = utility.shape
    if halves != 2 or draws < 2 * FOLDS:
        raise ValueError(f"utility has two halves of at least {2 * FOLDS} draws, not the shape {utility.shape}")
    flat, folds = np.asarray(utility, np.float64).reshape(2, draws, -1, actions), _folds(draws)
    gains = np.zeros(flat.shape[1:3])
    for choosing, valuing in (flat, flat[::-1]):
        for fold in range(FOLDS):
            decided = folds == fold
            prior = np.argmax(choosing[~decided].mean(axis=0), axis=-1)[None, :, None]
            contrasts = choosing - np.take_along_axis(choosing, prior, axis=-1)
            given = expected(contrasts.reshape(draws, -1), fold).reshape(-1, *flat.shape[2:])
            chosen = np.argmax(given, axis=-1)[..., None]
            worth = np.take_along_axis(valuing[decided], chosen, -1) - np.take_along_axis(valuing[decided], prior, -1)
            gains[decided] += worth[..., 0] / 2
    return gains.reshape(draws, *cells)
