"""A smooth curve or surface through noisy draws, of as many dimensions as are known.

The polyharmonic spline of order three (Duchon, LNM 571, 1977; in one dimension the natural cubic spline) on M knots
(a low rank as in Wood, JRSS B 65, 2003):

    g(x) = b0 + b.x + sum_j c_j |x - knot_j|^3      with sum_j c_j = 0 and sum_j c_j knot_j = 0
    minimise  |y - g|^2 + strength c'Ec,            E_jl = |knot_j - knot_l|^3

The strength of smoothing minimises the generalised cross-validation score n RSS / (n - 1.4 edf)^2 of each output
(Craven and Wahba, Numer. Math. 31, 1979; the factor 1.4 against rough fits: Kim and Gu, JRSS B 66, 2004).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, null_space
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata

from montecarlo.estimate import Floats

KNOTS = 20  # for each dimension
STRENGTHS = np.geomspace(1e-10, 1e4, 57)  # relative to the stiffest direction; the strongest leaves the plane
CAUTION = 1.4


def normal_scores(values: Floats) -> Floats:
    """Each column of `values` [draws, dimensions] by its ranks, as quantiles of the standard normal; ties share one.

    What is known does not depend on its scale, and outliers would bend a spline.
    """
    return np.asarray(norm.ppf((rankdata(values, axis=0) - 0.5) / len(values)))


def _plane(points: Floats) -> Floats:
    return np.column_stack([np.ones(len(points)), points])


def _cubes(points: Floats, knots: Floats) -> Floats:
    distance = cdist(points, knots)
    return np.asarray(distance * distance * distance)


@dataclass(frozen=True)
class Spline:
    """All smooths through the same `points` [draws, dimensions]: of any outputs, of any strength.

    g = plane + bent, in n directions: knots [M, dimensions], bend [M, n] the c of each, tilt [dimensions + 1, n] its
    plane, `along` [draws, n] its values at the points: orthonormal and without a part in the plane. stiffness [n]:
    its c'Ec, at least 0. fit [dimensions + 1, draws]: the plane of least squares; flat: how many dimensions it has.
    """

    points: Floats
    knots: Floats
    bend: Floats
    tilt: Floats
    along: Floats
    stiffness: Floats
    fit: Floats
    flat: int

    @classmethod
    def at(cls, points: Floats) -> "Spline":
        """At most 20 knots for each dimension, at points spread evenly in the order of the first dimension."""
        distinct = np.unique(points, axis=0)
        knots = distinct[np.unique(np.linspace(0, len(distinct) - 1, KNOTS * points.shape[1]).round().astype(int))]
        free = null_space(_plane(knots).T)
        bend = free @ _whitening(free.T @ _cubes(knots, knots) @ free)[0]  # now c'Ec = 1 in each direction
        plane = _plane(points)
        fit = np.asarray(np.linalg.pinv(plane), np.float64)
        cubes = _cubes(points, knots)
        bent = cubes @ bend
        bent = bent - plane @ (fit @ bent)
        turn, square = _whitening(bent.T @ bent)
        bend = bend @ turn
        rank = int(np.linalg.matrix_rank(plane))
        return cls(points, knots, bend, -fit @ cubes @ bend, bent @ turn, 1 / square, fit, rank)

    def predict(self, outputs: Floats, points: Floats) -> Floats:
        """g at `points` [others, dimensions], for the smooth through each of `outputs` [draws, outputs]."""
        plane = self.fit @ outputs
        rest = np.sum((outputs - _plane(self.points) @ plane) ** 2, axis=0)
        size = self.along.T @ outputs
        relative = self.stiffness / self.stiffness.min(initial=np.inf)
        kept = 1 / (1 + STRENGTHS[:, None] * relative)  # [strengths, n]: the part of each direction that is left
        residual = np.maximum(rest - (1 - (1 - kept) ** 2) @ size**2, 0.0)
        free = len(outputs) - CAUTION * (self.flat + kept.sum(axis=1, keepdims=True))
        score = np.where(free > 0, residual / np.where(free > 0, free, 1.0) ** 2, np.inf)
        best = len(STRENGTHS) - 1 - np.argmin(score[::-1], axis=0)  # ties to the smoother
        steps = kept[best].T * size
        return np.asarray(
            _plane(points) @ (plane + self.tilt @ steps) + _cubes(points, self.knots) @ (self.bend @ steps)
        )


def _whitening(square: Floats) -> tuple[Floats, Floats]:
    """(W with W' square W = 1 [m, n], the n eigenvalues kept), for a symmetric matrix [m, m] that is not negative."""
    value, vector = eigh(square)
    kept = value > 1e-13 * value.max(initial=0.0)
    return vector[:, kept] / np.sqrt(value[kept]), value[kept]
