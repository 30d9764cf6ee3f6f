"""The only tolerance for random results: standard errors, and how large these may be.

A check with a generous error passes anything, so every check states the largest standard error it accepts; one
that is exceeded is `TooCoarse`, which no negative control may count as a refusal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import norm

SIGMAS = 4.0


class TooCoarse(AssertionError):
    """The standard error is larger than the check allows: it shows nothing, either way."""


def _sigmas(observed: ArrayLike, expected: ArrayLike, errors: ArrayLike, largest: float) -> np.ndarray:
    """Deviations in standard errors; where the error is 0, 0 for values equal to rounding, else infinite."""
    given = np.broadcast_arrays(*(np.asarray(values, np.float64) for values in (observed, expected, errors)))
    difference, error = given[0] - given[1], given[2]
    if not np.all((error >= 0) & (error <= largest)):
        raise TooCoarse(f"standard error {np.max(error):.3g}, allowed at most {largest:.3g}")
    exact = np.where(np.isclose(given[0], given[1], rtol=1e-9), 0.0, np.inf)
    return np.where(error > 0, difference / np.where(error > 0, error, 1.0), exact)


def within(
    observed: float, expected: float, error: float, *, sigmas: float = SIGMAS, largest: float, what: str = ""
) -> None:
    """One number: |observed - expected| of at most `sigmas` standard errors, these of at most `largest`."""
    z = float(_sigmas(observed, expected, error, largest))
    assert abs(z) <= sigmas, (
        f"{what + ': ' if what else ''}{observed:.6g} is {z:+.1f} standard errors of {error:.2g} "
        f"from {expected:.6g}; allowed {sigmas:.1f}"
    )


def all_within(
    observed: ArrayLike, expected: ArrayLike, errors: ArrayLike, *, largest: float, level: float = 1e-4
) -> None:
    """Many cells: the largest deviation, where chance alone fails the whole check with probability `level`.

    The critical z follows from the number of cells (Sidak, JASA 62, 1967; on the safe side for dependent ones).
    """
    z = _sigmas(observed, expected, errors, largest)
    critical = float(norm.isf(-np.expm1(np.log1p(-level) / max(z.size, 1)) / 2))
    worst = np.unravel_index(np.argmax(np.abs(z)), z.shape)
    at, most = tuple(int(i) for i in worst), float(z[worst])
    assert abs(most) <= critical, (
        f"cell {at} of {z.size}: {np.broadcast_to(observed, z.shape)[worst]:.6g} is {most:+.1f} standard errors "
        f"from {np.broadcast_to(expected, z.shape)[worst]:.6g}; allowed {critical:.1f}"
    )


def matches(observed: float, published: float, error: float, *, relative: float, what: str = "") -> None:
    """A model against a published number: within `relative` of it, with an error that cannot decide the outcome."""
    if not SIGMAS * error <= relative * abs(published):
        raise TooCoarse(f"{SIGMAS:.0f} standard errors of {error:.2g} exceed {relative:.2%} of {published:.6g}")
    off = observed / published - 1
    assert abs(off) <= relative, (
        f"{what + ': ' if what else ''}{observed:.6g} is {off:+.2%} from {published:.6g}; allowed {relative:.2%}"
    )


def refused(check: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """A negative control: `check` must fail, and not because its standard error is too coarse."""
    try:
        check(*args, **kwargs)
    except TooCoarse:
        raise
    except AssertionError:
        return
    pytest.fail(f"the negative control passed {check.__name__}")


def mean_and_error(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and its standard error of independent draws along the first axis."""
    values = np.asarray(draws, np.float64)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
