"""The log likelihood of a log of steps as a function of one vector, and the process that such a vector is.

    theta = (offsets [depths], request_sd, short_sd, slow_sd, log short_tokens, log slow_tokens, length_slope)

The last is no part of the process but of the traffic: easy requests tend to be long (in EAGLE-1's log on Spec-Bench
the correlation is .47), so steps see easier requests than requests do. The ease of a request has mean
length_slope log(tokens / typical), with `typical` the mean as tokens see it; the process is that of a request of
typical length. Where all requests are as long, the slope is 0.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from montecarlo.difficulty import Difficulty
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


def names_of(depths: int) -> tuple[str, ...]:
    """Names of theta."""
    return (*(f"offset_{depth}" for depth in range(1, depths + 1)), *SDS, *TIMES, "length_slope")


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
    def of(cls, log: StepLog, depths: int | None = None) -> "Likelihood":
        """Lay out a log; `depths` where more are asked for than it drafted."""
        lanes, length = Lanes.of(log), np.log(log.tokens / log.typical_tokens)
        with jax.enable_x64(True):
            seen = observed(lanes, length)
        return cls(seen, lanes.requests, depths or lanes.depths, bool(np.ptp(length) > LENGTHS_DIFFER))

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Of each element of theta; equal where there is nothing to find."""
        times = [tuple(np.log(RANGES[name])) for name in TIMES]
        slope = LARGEST_SLOPE * self.lengths_differ
        return [(-OFFSETS, OFFSETS)] * self.depths + [(0.0, LARGEST_SD)] * 3 + times + [(-slope, slope)]

    def parameters(self, theta: Floats) -> Parameters:
        """Theta as the filter takes it."""
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
