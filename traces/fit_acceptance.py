"""Fit the difficulty process of montecarlo/difficulty.py to a log of steps, by maximum likelihood.

The likelihood is that of traces/difficulty_filter.py; its maximum is found by L-BFGS-B over

    theta = (offsets [depths], request_sd, short_sd, slow_sd, log short_tokens, log slow_tokens, length_slope)

with sds of at least 0. The last is no part of the process but of the traffic: easy requests tend to be long (in
EAGLE-1's log on Spec-Bench the correlation is .47), so steps see easier requests than requests do. The ease of a
request has mean length_slope log(tokens / typical), with `typical` the mean as tokens see it; the process is that
of a request of typical length. Where all requests are as long, the slope is 0.
 Two covariances of theta: the inverse of the observed information J^-1, right where the model
is, and the sandwich J^-1 (sum of the requests' scores squared) J^-1, right for requests that differ in ways the
model does not know (White, Econometrica 50, 1982; clusters are requests). A sd at 0 takes its time scale with it:
both are held there, and the errors of the others are given under that. A time scale at the end of its range was not
determined, and its error is not given either.

At one drafted length, decay by depth and difficulty trade off: the deeper drafts are seen in easier text, so
steeper offsets with more difficulty give nearly the same survival. What holds them apart is the order of the steps;
`correlation` says how well it does, and `draws` carries it to any other draft length.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator
from traces.difficulty_filter import Observed, Parameters, observed, scores, value_and_gradient
from traces.lanes import Lanes
from traces.step_log import StepLog

Floats = NDArray[np.float64]

SDS = ("request_sd", "short_sd", "slow_sd")
TIMES = ("short_tokens", "slow_tokens")
# Ease that is fresh at every token cannot be told from the coin: below one token a larger short_sd means nothing.
RANGES = {"short_tokens": (1.0, 30.0), "slow_tokens": (5.0, 3000.0)}
OFFSETS, LARGEST_SD = 10.0, 5.0  # logits: beyond these nothing is decided by chance any more
LARGEST_SLOPE = 3.0  # logits for each factor of e
LENGTHS_DIFFER = 0.05  # range of log lengths below which they are all as long
VANISHED = 0.03  # logits: a sd below this moves no probability by 1 %
STARTS = ((2.0, 40.0), (5.0, 300.0))  # short and slow tokens the search begins from
STEP = 1e-4  # of the central differences of the exact gradient


@dataclass(frozen=True)
class Fit:
    """theta [P] with its names, both covariances [P, P] (nan where not determined), and log likelihood."""

    names: tuple[str, ...]
    theta: Floats
    information: Floats
    sandwich: Floats
    log_likelihood: float
    typical_tokens: float
    requests: int
    steps: int

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


def depths_in(theta: Floats) -> int:
    """Number of offsets in a parameter vector."""
    return len(theta) - len(SDS) - len(TIMES) - 1


def process_of(theta: Floats) -> Difficulty:
    """The process of a parameter vector; a sd drawn below 0 is its mirror image, which has the same law."""
    depths = depths_in(theta)
    request, short, slow = np.abs(theta[depths : depths + 3])
    tokens = np.exp(theta[depths + 3 : depths + 5])
    if tokens[0] >= tokens[1]:  # the two components carry no names: the shorter is the short one
        short, slow, tokens = slow, short, tokens[::-1] * np.array([1.0, 1.0 + 1e-6 * (tokens[0] == tokens[1])])
    return Difficulty.of(
        theta[:depths],
        request_sd=request,
        short_sd=short,
        short_tokens=tokens[0],
        slow_sd=slow,
        slow_tokens=tokens[1],
    )


@dataclass(frozen=True)
class Likelihood:
    """The log likelihood of a log as a function of theta; the log is laid out once, for any weights of requests."""

    seen: Observed
    requests: int
    depths: int
    lengths_differ: bool

    @classmethod
    def of(cls, log: StepLog) -> "Likelihood":
        """Lay out a log."""
        lanes, length = Lanes.of(log), np.log(log.tokens / log.typical_tokens)
        with jax.enable_x64(True):
            return cls(observed(lanes, length), lanes.requests, lanes.depths, bool(np.ptp(length) > LENGTHS_DIFFER))

    def parameters(self, theta: Floats) -> Parameters:
        """theta as the filter takes it."""
        offsets, sd, log_tokens, slope = (
            jnp.asarray(part) for part in np.split(theta, self.depths + np.array([0, 3, 5]))
        )
        return Parameters(offsets, sd, jnp.exp(log_tokens), slope[0])

    def __call__(self, theta: Floats, weight: Floats | None = None) -> tuple[float, Floats]:
        """(log likelihood, its gradient [P]), each request counted `weight` [requests] times, by default once."""
        with jax.enable_x64(True):
            counted = jnp.ones(self.requests) if weight is None else jnp.asarray(weight, jnp.float64)
            at = self.parameters(theta)
            value, slope = value_and_gradient(at, self.seen, counted, self.requests)
            return float(value), np.concatenate(
                [slope.offsets, slope.sd, slope.tokens * at.tokens, slope.length_slope[None]]
            )

    def scores(self, theta: Floats) -> Floats:
        """Gradients by request [requests, P]."""
        with jax.enable_x64(True):
            at = self.parameters(theta)
            slope = scores(at, self.seen, self.requests)
            return np.concatenate(
                [slope.offsets, slope.sd, slope.tokens * at.tokens[None], slope.length_slope[:, None]], axis=1
            )


def fit(log: StepLog, starts: tuple[tuple[float, float], ...] = STARTS) -> Fit:
    """Fit to all requests of `log`; raises InputError for a log that says nothing of some depth."""
    likelihood = Likelihood.of(log)
    asked = [int(np.sum((log.accepted >= d) | ((log.accepted == d - 1) & (log.drafted >= d)))) for d in depths_of(log)]
    if min(asked) == 0:
        raise InputError(
            f"no step of the log decides a draft at depth {asked.index(0) + 1} of {log.draft_length}; "
            "give it a shorter draft length"
        )
    first = _first_guess(log)
    begin = [np.concatenate([first, [0.5, 0.8, 0.5], np.log(times), [0.0]]) for times in starts]
    theta = estimate(likelihood, begin)
    information, sandwich = covariances(likelihood, theta)
    return Fit(
        names=names_of(likelihood.depths),
        theta=theta,
        information=information,
        sandwich=sandwich,
        log_likelihood=likelihood(theta)[0],
        typical_tokens=log.typical_tokens,
        requests=log.requests,
        steps=len(log.request),
    )


def depths_of(log: StepLog) -> range:
    """Depths 1..K of a log."""
    return range(1, log.draft_length + 1)


def names_of(depths: int) -> tuple[str, ...]:
    """Names of theta."""
    return (*(f"offset_{depth}" for depth in range(1, depths + 1)), *SDS, *TIMES, "length_slope")


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
    bounds = _bounds(likelihood)
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


def _bounds(likelihood: Likelihood) -> list[tuple[float, float]]:
    times = [tuple(np.log(RANGES[name])) for name in TIMES]
    slope = LARGEST_SLOPE * likelihood.lengths_differ
    return [(-OFFSETS, OFFSETS)] * likelihood.depths + [(0.0, LARGEST_SD)] * 3 + times + [(-slope, slope)]


def covariances(likelihood: Likelihood, theta: Floats) -> tuple[Floats, Floats]:
    """(J^-1, sandwich) [P, P], nan in the rows of what is at the end of its range."""
    depths = likelihood.depths
    low, high = np.array(_bounds(likelihood)).T
    free = (theta > low + 1e-6) & (theta < high - 1e-6)
    for sd, time in ((depths + 1, depths + 3), (depths + 2, depths + 4)):
        free[time] &= free[sd]  # a component that vanished has no time scale
    at = np.flatnonzero(free)
    slopes = []
    for i in at:
        step = np.zeros(len(theta))
        step[i] = STEP
        slopes.append((likelihood(theta - step)[1] - likelihood(theta + step)[1])[at] / (2 * STEP))
    curvature = np.asarray(slopes)
    inverse = np.linalg.inv((curvature + curvature.T) / 2)
    by_request = likelihood.scores(theta)[:, at]
    meat = by_request.T @ by_request * (likelihood.requests / max(likelihood.requests - 1, 1))
    whole = np.full((2, len(theta), len(theta)), np.nan)
    whole[:, at[:, None], at[None]] = inverse, inverse @ meat @ inverse
    return whole[0], whole[1]
