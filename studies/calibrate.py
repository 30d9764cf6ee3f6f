"""The terms of one engine from its measurements: the most likely terms, and how sure the measurements make them.

    ln y = ln f(z) + sigma e,   z ~ N(0, 1) the terms on the scale their priors are normal on,   e ~ N(0, 1)
    z^   = argmin sum ((ln f - ln y) / sigma)^2 + |z|^2        Gauss-Newton (scipy.optimize.least_squares)
    C    = (J'J / sigma^2 + 1)^-1                              Laplace's approximation, J = d ln f / d z

sigma is what these prices are off by beside their terms, the model's discrepancy: 5 % of every time, on its own in
every row, assumed. Where residuals are larger it grows to sqrt(chi^2 / degrees of freedom) times that (Birge, Phys.
Rev. 40, 207, 1932), the degrees being rows less the effective number of terms, trace of the hat matrix J C J' / s^2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from montecarlo.keys import Stream, generator
from montecarlo.roofline import Floats
from montecarlo.terms import NAMES, Terms
from studies import forward, prices
from studies.forward import Deployment, Load, Times
from studies.prices import Priors

DISCREPANCY = 0.05
ROUNDS = 20  # of Birge's factor
NUDGE = 1e-4  # of a standard normal, for derivatives
INFORMED = 0.95  # a term is informed where its standard deviation is below this share of the prior's


@dataclass(frozen=True)
class Observed:
    """What was measured in each row of a load [rows], NaN where it was not: as in forward.Times."""

    step: Floats
    token: Floats
    rate: Floats

    def picked(self, times: Times) -> Floats:
        """The `times` [worlds, observations] to hold against `values`: steps, and time per token or else throughput.

        Time per token and throughput of a closed loop say the same twice, so one is taken.
        """
        step, token, rate = self._kept()
        return np.concatenate([times.step[:, step], times.token[:, token], times.rate[:, rate]], axis=1)

    def values(self) -> Floats:
        """What was measured [observations]."""
        step, token, rate = self._kept()
        return np.concatenate([self.step[step], self.token[token], self.rate[rate]])

    def labels(self) -> list[tuple[int, str]]:
        """(row, what) of each observation."""
        names = ("step seconds", "seconds per token", "tokens per second")
        return [(int(i), what) for kept, what in zip(self._kept(), names, strict=True) for i in np.flatnonzero(kept)]

    def _kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        token = ~np.isnan(self.token)
        return ~np.isnan(self.step), token, ~np.isnan(self.rate) & ~token


@dataclass(frozen=True)
class Posterior:
    """The terms of one engine given its rows.

    normals: the most likely z [terms in the order of NAMES]; covariance of z; discrepancy: sigma after Birge;
    residuals: ln(measured / fitted) [observations]; evidence: ln P(measured) less what all priors share.
    """

    priors: Priors
    normals: Floats
    covariance: Floats
    discrepancy: float
    residuals: Floats
    evidence: float

    def draw(self, seed: int, world: int) -> Terms:
        """The terms of a world."""
        standard = generator(seed, world, Stream.PRICES).standard_normal(len(NAMES))
        return self.priors.at(self.normals + np.linalg.cholesky(self.covariance) @ standard)

    @property
    def kept(self) -> Floats:
        """Standard deviation of each term as a share of its prior's."""
        return np.sqrt(np.diag(self.covariance))

    def informed(self) -> list[str]:
        """The terms that the rows say something about."""
        return [name for name, share in zip(NAMES, self.kept, strict=True) if share < INFORMED]

    def joint(self) -> prices.Joint:
        """The informed terms as a prices file holds them: medians, and the covariance on their own scale.

        A prior whose halves differ in width is taken as wide as it is within one standard deviation.
        """
        terms = self.informed()
        spread = np.diag(self.kept)
        above, below = (self._linked(self.normals + side * spread) for side in (1, -1))  # [terms moved, NAMES]
        slope = ((above - below) / (2 * self.kept[:, None])).T
        wanted = [NAMES.index(name) for name in terms]
        covariance = (slope @ self.covariance @ slope.T)[np.ix_(wanted, wanted)]
        best = self.priors.at(self.normals)
        return prices.Joint(
            terms=terms,
            median=[float(f"{getattr(best, name):.6g}") for name in terms],
            covariance=[[float(f"{value:.6g}") for value in row] for row in (covariance + covariance.T) / 2],
        )

    def _linked(self, normals: Floats) -> Floats:
        worlds = [self.priors.at(each) for each in normals]
        return np.array([[float(prices.link(name, getattr(one, name))) for name in NAMES] for one in worlds])


def fit(
    given: Deployment, priors: Priors, load: Load, observed: Observed, discrepancy: float = DISCREPANCY
) -> Posterior:
    """The posterior of the terms on `given` from the rows of `load`; none of the rows: the priors themselves."""
    measured, sigma = np.log(observed.values()), discrepancy

    def fitted(normals: Floats) -> Floats:
        """ln f [worlds, observations] for normals [worlds, terms]."""
        return np.log(observed.picked(forward.times(given, load, [priors.at(each) for each in normals])))

    def slopes(normals: Floats) -> Floats:
        values = fitted(normals + NUDGE * np.concatenate([np.zeros((1, len(NAMES))), np.eye(len(NAMES))]))
        return np.asarray((values[1:] - values[0]).T / NUDGE)

    if not measured.size:
        return Posterior(priors, np.zeros(len(NAMES)), np.eye(len(NAMES)), sigma, measured, 0.0)
    best, nominal = np.zeros(len(NAMES)), 0.0
    for turn in range(ROUNDS):
        scale = sigma
        best = least_squares(
            lambda z, s=scale: np.concatenate([(fitted(z[None])[0] - measured) / s, z]),
            best,
            jac=lambda z, s=scale: np.concatenate([slopes(z) / s, np.eye(len(NAMES))]),
            method="lm",
            xtol=1e-3,
            ftol=1e-5,
        ).x
        residuals, jacobian = measured - fitted(best[None])[0], slopes(best)
        covariance = np.asarray(np.linalg.inv(jacobian.T @ jacobian / sigma**2 + np.eye(len(NAMES))), np.float64)
        chi, free = (
            float(residuals @ residuals),
            measured.size - float(np.trace(jacobian @ covariance @ jacobian.T) / sigma**2),
        )
        if not turn:
            nominal = -0.5 * (chi / sigma**2 + best @ best) + 0.5 * float(np.linalg.slogdet(covariance)[1])
        wider = max(discrepancy, float(np.sqrt(chi / free))) if free >= 1 else sigma
        if abs(np.log(wider / sigma)) < 0.01:
            break
        sigma = wider
    return Posterior(priors, best, covariance, sigma, residuals, nominal)
