"""Fit the difficulty process of montecarlo/difficulty.py to a log of steps, by maximum likelihood less its known lean.

The likelihood is that of traces/difficulty_filter.py, as a function of the theta of traces/difficulty_likelihood.py.
Its maximum is found by L-BFGS-B, with sds of at least 0, and then moved by the lean of the filter's approximation,
found by simulation (traces/filter_lean.py).

Two covariances of theta: the inverse of the observed information J^-1, right where the model is, and the sandwich
J^-1 (sum of the requests' scores squared) J^-1, right for requests that differ in ways the model does not know
(White, Econometrica 50, 1982; clusters are requests, R of them, and the sum is times R / (R - P), as P parameters are
fitted to them: MacKinnon and White, J. Econometrics 29, 1985); both with the share that simulation adds. A sd at 0
takes its time scale with it: both are held there, and the errors of the others are given under that. A time scale at
the end of its range was not determined, and its error is not given either.

At one drafted length, decay by depth and difficulty trade off: the deeper drafts are seen in easier text, so
steeper offsets with more difficulty give nearly the same survival. What holds them apart is the order of the steps;
`correlation` says how well it does, and `draws` carries it to any other draft length.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator
from traces.difficulty_likelihood import SDS, Floats, Likelihood, depths_in, names_of, process_of
from traces.filter_lean import LOGS, mean_score
from traces.step_log import StepLog

__all__ = ["Fit", "Likelihood", "covariances", "depths_in", "estimate", "fit", "names_of", "process_of"]

VANISHED = 0.03  # logits: a sd below this moves no probability by 1 %
STARTS = ((2.0, 40.0), (5.0, 300.0))  # short and slow tokens the search begins from
STEP = 1e-5  # of the differences of the exact gradient


@dataclass(frozen=True)
class Fit:
    """theta [P] with its names, both covariances [P, P] (nan where not determined), and the highest log likelihood.

    lean [P]: what was taken off the likelihood's maximum; empty where nothing was.
    """

    names: tuple[str, ...]
    theta: Floats
    information: Floats
    sandwich: Floats
    log_likelihood: float
    typical_tokens: float
    requests: int
    steps: int
    lean: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def depths(self) -> int:
        """Number of offsets."""
        return depths_in(self.theta)

    @property
    def length_slope(self) -> float:
        """Logits by which a request is easier for each factor of e in its length."""
        return float(self.theta[-1])

    @property
    def process(self) -> Difficulty:
        """The fitted process; offsets past the last known depth stay flat."""
        return process_of(self.theta)

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Names of parameters at the end of their range."""
        return tuple(n for n, v in zip(self.names, np.diag(self.information), strict=True) if not np.isfinite(v))

    @property
    def correlation(self) -> Floats:
        """Of the estimates, by the sandwich [P, P]."""
        error = np.sqrt(np.diag(self.sandwich))
        return np.asarray(self.sandwich / np.outer(error, error))

    def draws(self, number: int, seed: int = 0) -> list[Difficulty]:
        """Processes drawn from the normal law of the estimates (sandwich), what is undetermined held where it is."""
        known = np.isfinite(np.diag(self.sandwich))
        covariance = np.where(np.outer(known, known), self.sandwich, 0.0)
        random = generator(seed, 0, Stream.BOOTSTRAP)
        drawn = random.multivariate_normal(self.theta, covariance, size=number, method="eigh")
        return [process_of(theta) for theta in drawn]


def fit(log: StepLog, starts: tuple[tuple[float, float], ...] = STARTS, *, simulated: int = LOGS, seed: int = 0) -> Fit:
    """Fit to all requests of `log`; raises InputError for a log that says nothing of some depth.

    `simulated` logs, drawn with `seed`, find the filter's lean; with 0 the maximum is left where it is.
    """
    likelihood = Likelihood.of(log)
    asked = [int(np.sum((log.accepted >= d) | ((log.accepted == d - 1) & (log.drafted >= d)))) for d in depths_of(log)]
    if min(asked) == 0:
        raise InputError(
            f"no step of the log decides a draft at depth {asked.index(0) + 1} of {log.draft_length}; "
            "give it a shorter draft length"
        )
    first = _first_guess(log)
    begin = [np.concatenate([first, [0.5, 0.8, 0.5], np.log(times), [0.0]]) for times in starts]
    highest = estimate(likelihood, begin)
    information, sandwich = covariances(likelihood, highest)
    lean = np.zeros(len(highest))
    if simulated:
        lean = np.nan_to_num(information) @ mean_score(log, highest, logs=simulated, seed=seed)
        information, sandwich = (1 + 1 / simulated) * information, (1 + 1 / simulated) * sandwich
    low, high = np.array(likelihood.bounds).T
    return Fit(
        names=names_of(likelihood.depths),
        theta=np.clip(highest - lean, low, high),
        information=information,
        sandwich=sandwich,
        log_likelihood=likelihood(highest)[0],
        typical_tokens=log.typical_tokens,
        requests=log.requests,
        steps=len(log.request),
        lean=lean,
    )


def depths_of(log: StepLog) -> range:
    """Depths 1..K of a log."""
    return range(1, log.draft_length + 1)


def _first_guess(log: StepLog) -> Floats:
    """Logits of the hazards, which are the offsets where nothing varies, and a fifth more, as much does."""
    guess = []
    for depth in depths_of(log):
        accepted = np.sum(log.accepted >= depth)
        rejected = np.sum((log.accepted == depth - 1) & (log.drafted >= depth) & ~log.cut)
        guess.append(1.2 * np.log((accepted + 0.5) / (rejected + 0.5)))
    return np.asarray(guess)


def estimate(likelihood: Likelihood, begin: list[Floats], weight: Floats | None = None) -> Floats:
    """The theta of the highest likelihood [P] that searches from `begin` find; sds that vanish are exactly 0."""
    bounds = likelihood.bounds
    scale = float(likelihood.requests if weight is None else np.sum(weight))

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, slope = likelihood(theta, weight)
        return -value / scale, -slope / scale

    def search(start: Floats, within: list[tuple[float, float]]) -> tuple[float, Floats]:
        options = {"maxiter": 300, "ftol": 1e-11, "gtol": 1e-6}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=within, options=options)
        return float(found.fun), found.x

    theta = min((search(start, bounds) for start in begin), key=lambda one: one[0])[1]
    while np.any(small := (np.abs(theta) < VANISHED) & _is_sd(likelihood.depths) & (theta != 0)):
        bounds = [(0.0, 0.0) if gone else bound for gone, bound in zip(small, bounds, strict=True)]
        theta = search(np.where(small, 0.0, theta), bounds)[1]
    return theta


def _is_sd(depths: int) -> NDArray[np.bool_]:
    return np.array([name in SDS for name in names_of(depths)])


def covariances(likelihood: Likelihood, theta: Floats) -> tuple[Floats, Floats]:
    """(J^-1, sandwich) [P, P], nan in the rows of what is at the end of its range."""
    depths = likelihood.depths
    low, high = np.array(likelihood.bounds).T
    free = (theta > low + 1e-6) & (theta < high - 1e-6)
    for sd, time in ((depths + 1, depths + 3), (depths + 2, depths + 4)):
        free[time] &= free[sd]  # a component that vanished has no time scale
    at = np.flatnonzero(free)
    here = likelihood(theta)[1]
    curvature = np.asarray([(here - likelihood(theta + step)[1])[at] / STEP for step in STEP * np.eye(len(theta))[at]])
    inverse = np.linalg.inv((curvature + curvature.T) / 2)
    by_request = likelihood.scores(theta)[:, at]
    meat = by_request.T @ by_request * (likelihood.requests / max(likelihood.requests - len(at), 1))
    whole = np.full((2, len(theta), len(theta)), np.nan)
    whole[:, at[:, None], at[None]] = inverse, inverse @ meat @ inverse
    return whole[0], whole[1]
