"""The likelihood of outcomes along a text under latent difficulty: an assumed-density filter.

    x_j = (u, s_j, l_j),   x_j | past ~ N(m, P),   z_j = u + s_j + l_j ~ N(1'm, v),  v = 1'P1
    likelihood of outcome y:   Z = E sigmoid(+-(offset + slope length + z)),  by Gauss-Hermite quadrature
    then with g = d log Z / d(1'm), h = -d2 log Z / d(1'm)2, c = P1:    m += c g,   P -= c c' h

After each outcome the law of x is replaced by the Gaussian of the same mean and covariance, which the last line is
exactly (Opper, in On-line Learning in Neural Networks, 1998; Minka, UAI 2001). Between tokens s and l move as
AR(1); a new turn draws them afresh, a new request u too. All in float64, in a context of its own.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from traces.lanes import MISSING, NEW_REQUEST, NEW_TURN, Lanes

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(12)  # off by 1e-7 at spread 1, 1e-4 at 2, 1.5e-3 at 3
WEIGHTS = WEIGHTS / WEIGHTS.sum()


class Parameters(NamedTuple):
    """offsets [depths] logits; sd [3]: of the request, short, slow; tokens [2]: time scales, short and slow.

    length_slope: logits that a request is easier by for each factor of e in its length.
    """

    offsets: jax.Array
    sd: jax.Array
    tokens: jax.Array
    length_slope: jax.Array


class Observed(NamedTuple):
    """The arrays of Lanes, and length [tokens, lanes]: log of the request's tokens over the typical."""

    outcome: jax.Array
    depth: jax.Array
    begins: jax.Array
    request: jax.Array
    length: jax.Array


def observed(lanes: Lanes, length: np.ndarray) -> Observed:
    """The arrays of `lanes` for the functions below; length [requests]."""
    along = np.append(length, 0.0)[lanes.request]
    return Observed(*(jnp.asarray(a) for a in (lanes.outcome, lanes.depth, lanes.begins, lanes.request, along)))


def by_request(parameters: Parameters, seen: Observed, requests: int) -> jax.Array:
    """Log likelihood [requests]; call inside `jax.enable_x64(True)`."""
    variance = parameters.sd**2
    stays = jnp.concatenate([jnp.ones(1), jnp.exp(-1 / parameters.tokens)])
    nodes, weights = jnp.asarray(NODES)[:, None], jnp.asarray(WEIGHTS)[:, None]

    @jax.checkpoint
    def token(state: tuple[jax.Array, jax.Array], seen: Observed) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        mean, covariance = state  # [3, lanes], [3, 3, lanes]
        kept = jnp.stack([seen.begins < NEW_REQUEST, seen.begins < NEW_TURN, seen.begins < NEW_TURN])
        keep = stays[:, None] * kept
        mean = keep * mean
        covariance = keep[:, None] * keep[None] * covariance
        covariance += jnp.eye(3)[:, :, None] * (variance[:, None] * (1 - keep**2))[:, None]
        gain = covariance.sum(axis=1)
        spread = jnp.sqrt(jnp.maximum(gain.sum(axis=0), 1e-12))
        sign = jnp.where(seen.outcome == 1, 1.0, -1.0)
        offset = parameters.offsets[seen.depth] + parameters.length_slope * seen.length
        here = sign * (offset + mean.sum(axis=0))
        chance = jax.nn.sigmoid(here[None] + spread[None] * nodes)
        likelihood = (weights * chance).sum(axis=0)
        slope = (weights * chance * (1 - chance)).sum(axis=0) / likelihood
        bend = (weights * chance * (1 - chance) * (1 - 2 * chance)).sum(axis=0) / likelihood
        there = seen.outcome != MISSING
        mean += gain * jnp.where(there, sign * slope, 0.0)[None]
        covariance -= gain[:, None] * gain[None] * jnp.where(there, slope**2 - bend, 0.0)[None, None]
        return (mean, covariance), jnp.where(there, jnp.log(likelihood), 0.0)

    lanes = seen.outcome.shape[1]
    nothing = (jnp.zeros((3, lanes)), jnp.zeros((3, 3, lanes)))
    logs = jax.lax.scan(token, nothing, seen)[1]
    return jax.ops.segment_sum(logs.ravel(), seen.request.ravel(), num_segments=requests + 1)[:requests]


@partial(jax.jit, static_argnames="requests")
def value_and_gradient(
    parameters: Parameters, seen: Observed, weight: jax.Array, requests: int
) -> tuple[jax.Array, Parameters]:
    """Log likelihood, each request counted `weight` [requests] times, and its gradient."""
    return jax.value_and_grad(lambda at: weight @ by_request(at, seen, requests))(parameters)


@partial(jax.jit, static_argnames="requests")
def scores(parameters: Parameters, seen: Observed, requests: int) -> Parameters:
    """Derivatives of each request's log likelihood, [requests, ...]."""
    return jax.jacfwd(partial(by_request, seen=seen, requests=requests))(parameters)
