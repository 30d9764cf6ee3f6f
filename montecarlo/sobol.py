"""Which unknown moves a figure: shares of its variance, with the noise of the inner worlds taken out.

Y(theta) is known only as a mean over inner worlds, from two independent halves of them: y and z. Each is Y plus
noise, and the noise of one is independent of the other, so *every product pairs one half with the other*:

    variance from parameters  V = cov(y, z)                             (0 under pure noise; var(y) would not be)
    first order   S_i = E[ y(B) (z(AB_i) - z(A)) ] / V                  Saltelli et al., CPC 181, 2010, table 2 (b)
    total order   T_i = E[ (y(A) - y(AB_i)) (z(A) - z(AB_i)) ] / 2 V    Jansen, CPC 117, 1999, in two halves

A and B are independent rows of draws, AB_i is A with the unknowns of group i from B; both ways averaged. S_i is
the share of the variance that would go if group i were known, T_i the share that would stay if all others were.
"""

from dataclasses import dataclass

import numpy as np

from montecarlo.estimate import Floats, mean


@dataclass(frozen=True)
class Share:
    """An estimate and its standard error, [...] each."""

    value: Floats
    error: Floats


def _ratio(above: Floats, below: Floats) -> Share:
    """mean(above) / mean(below) over rows, by the delta method (as `estimate.speedup`); NaN unless below is > 0."""
    under = mean(below)
    under = np.where(under > 0, under, np.nan)
    value = mean(above) / under
    return Share(value, np.std(above - value * below, axis=0, ddof=1) / np.sqrt(len(below)) / under)


def _centred(halves: Floats) -> Floats:
    return halves - halves.mean(axis=1, keepdims=True)


def excess_variance(halves: Floats) -> tuple[Share, Share]:
    """(variance from parameters, its share of all variance that one half shows), from `halves` [2, draws, ...].

    The rest of the share is inner noise: it falls with more inner worlds, the variance from parameters does not.
    Draws must be independent for the errors. Both may come out below 0 within their errors.
    """
    y, z = _centred(np.asarray(halves, np.float64))
    rows = len(y)
    product, square = y * z * rows / (rows - 1), (y**2 + z**2) / 2 * rows / (rows - 1)
    return Share(mean(product), product.std(axis=0, ddof=1) / np.sqrt(rows)), _ratio(product, square)


@dataclass(frozen=True)
class Indices:
    """first, total [groups, ...] with errors; `variance` [...] from parameters, whose shares they are."""

    first: Share
    total: Share
    variance: Share


def indices(base: Floats, other: Floats, mixed: Floats) -> Indices:
    """Indices from the figure at A `base`, B `other` [2 halves, rows, ...], and at AB_i `mixed` [groups, 2, rows, ...].

    Errors are those of independent rows; rows of a Sobol sequence have smaller ones. NaN where parameters show no
    variance. For an indicator, such as that k is the best length, the indices are those of its probability given
    the parameters.
    """
    a, b, ab = (np.asarray(values, np.float64) for values in (base, other, mixed))
    rows = a.shape[1]
    centre = (a + b).mean(axis=1, keepdims=True) / 2  # one for A, B and AB of a half: differences stay as they are
    a, b, ab = a - centre, b - centre, ab - centre
    variance = (a[0] * a[1] + b[0] * b[1]) / 2 * (2 * rows / (2 * rows - 1))
    # Rows first: below, [rows, groups, ...].
    first = np.moveaxis((b[0] * (ab[:, 1] - a[1]) + b[1] * (ab[:, 0] - a[0])) / 2, 0, 1)
    total = np.moveaxis((a[0] - ab[:, 0]) * (a[1] - ab[:, 1]) / 2, 0, 1)
    below = np.broadcast_to(variance[:, None], first.shape)
    return Indices(
        first=_ratio(first, below),
        total=_ratio(total, below),
        variance=Share(mean(variance), variance.std(axis=0, ddof=1) / np.sqrt(rows)),
    )
