"""Fit topical-sticky routing to published distinct experts of consecutive tokens (a trace: traces/fit_routing.py).

Popularity is a power of rank, p_e ~ ((e + 1/2) / E)^skew: one number per layer, which reproduces the measured
inverse Simpson index and, unlike a lognormal, the many rarely used experts of gpt-oss-20b.

Concentration and stickiness have no closed form, so the process is simulated once on a grid of both, with the
same random words at every node; log distinct experts are interpolated by bicubic splines, and all layers are
fitted together by least squares (scipy) to the distinct experts given per layer and to those given as a mean
over layers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import brentq, least_squares

from montecarlo import coverage, exact
from montecarlo.keys import Stream, key
from montecarlo.routing import Routing, sample

CONCENTRATIONS = np.geomspace(5.0, 500.0, 9)
STICKINESSES = np.linspace(0.0, 0.7, 8)


@dataclass(frozen=True)
class TopicalSticky:
    """Parameters per layer [L]."""

    concentration: np.ndarray
    stickiness: np.ndarray


def power_popularity(skew: float, experts: int) -> np.ndarray:
    """Shares [experts] that grow as a power of rank."""
    shares = ((np.arange(experts) + 0.5) / experts) ** skew
    return np.asarray(shares / shares.sum())


def skew_of(inverse_simpson: float, experts: int, top_k: int) -> float:
    """The skew whose expert shares, for independent tokens of top_k distinct experts, have this 1 / sum p^2."""

    def excess(skew: float) -> float:
        shares = exact.inclusion(power_popularity(skew, experts), top_k) / top_k
        return float(1 / np.sum(shares**2) - inverse_simpson)

    return float(brentq(excess, 0.0, 8.0, xtol=1e-4))


@partial(jax.jit, static_argnames=("count",))
def _distinct(experts: jax.Array, count: int) -> jax.Array:
    return coverage.count(experts, partial(coverage.bitsets, count=count), batches=(1,))


def distinct_by_window(process: Routing, tokens: int, requests: int, seed: int = 0) -> np.ndarray:
    """Mean distinct experts [tokens, layers] of the first 1..tokens tokens of `requests` synthetic requests."""
    never = jnp.full(requests, tokens, jnp.int32)
    experts = sample(process, key(seed, 0, Stream.TEXT), never, tokens=tokens, requests=requests)
    return np.asarray(_distinct(experts, process.accept.shape[1]), np.float64).mean(axis=1)


def fit(
    popularity: np.ndarray,
    top_k: int,
    by_layer: Mapping[int, np.ndarray],
    mean: Mapping[int, float],
    *,
    background: float = 0.0,
    requests: int = 1500,
    seed: int = 0,
) -> TopicalSticky:
    """Concentration and stickiness per layer from distinct experts of windows of n tokens.

    popularity [L, E]; by_layer: n -> [L]; mean: n -> mean over layers. Every given window counts the same,
    whether given by layer or as a mean. `background` is taken as it is.
    """
    layers, tokens = len(popularity), max([*by_layer, *mean])
    grid = np.empty((len(CONCENTRATIONS), len(STICKINESSES), tokens, layers))
    for i, concentration in enumerate(CONCENTRATIONS):
        for j, stickiness in enumerate(STICKINESSES):
            node = Routing.of(
                popularity=popularity,
                top_k=top_k,
                concentration=concentration,
                background=background,
                stickiness=stickiness,
            )
            grid[i, j] = np.log(distinct_by_window(node, tokens, requests, seed))
    axis = np.log(CONCENTRATIONS)

    def splines(window: int) -> list[RectBivariateSpline]:
        return [RectBivariateSpline(axis, STICKINESSES, grid[:, :, window - 1, layer]) for layer in range(layers)]

    surfaces = {window: splines(window) for window in {*by_layer, *mean}}

    def predicted(window: int, free: np.ndarray, dx: int = 0, dy: int = 0) -> np.ndarray:
        at = free.reshape(layers, 2)
        return np.asarray([surfaces[window][layer].ev(*at[layer], dx=dx, dy=dy) for layer in range(layers)])

    def residuals(free: np.ndarray) -> np.ndarray:
        per_layer = [(predicted(n, free) - np.log(given)) / np.sqrt(layers) for n, given in by_layer.items()]
        means = [[np.log(np.exp(predicted(n, free)).mean() / given)] for n, given in mean.items()]
        return np.concatenate([*per_layer, *means])

    def jacobian(free: np.ndarray) -> np.ndarray:
        def slopes(n: int) -> np.ndarray:  # d log distinct of each layer over its own two parameters [L, 2]
            return np.stack([predicted(n, free, dx=1), predicted(n, free, dy=1)], axis=1)

        own = np.eye(layers)[:, :, None]
        rows = [(own * slopes(n)[None]).reshape(layers, -1) / np.sqrt(layers) for n in by_layer]
        for n in mean:
            level = np.exp(predicted(n, free))
            rows.append((level[:, None] * slopes(n) / level.sum()).reshape(1, -1))
        return np.concatenate(rows)

    start = np.tile([np.log(25.0), 0.2], layers)
    low, high = np.tile([axis[0], 0.0], layers), np.tile([axis[-1], STICKINESSES[-1]], layers)
    found = least_squares(residuals, start, jac=jacobian, bounds=(low, high), x_scale=np.tile([1.0, 0.2], layers)).x
    fitted = found.reshape(layers, 2)
    return TopicalSticky(concentration=np.exp(fitted[:, 0]), stickiness=fitted[:, 1])
