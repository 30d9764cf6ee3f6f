"""Exact laws for independent tokens: the oracle of every sampler, and all that uniform routing needs.

With uniform routing a cell depends on n = B (k+1) tokens only, and the number of distinct experts is a Markov
chain over n: from d, a token of top_k distinct experts brings j new ones with hypergeometric probability

    P(d -> d + j) = C(E - d, j) C(d, top_k - j) / C(E, top_k)

With popularity p, tokens draw without replacement in proportion to p (Plackett-Luce). Let every expert have
an exponential clock of rate p_e; a token holds the top_k that ring first, so

    P(e in token) = integral of p_e exp(-p_e t) P(fewer than top_k others rang before t) dt

and E[distinct of n tokens] = sum_e 1 - (1 - P(e in token))^n.
"""

from functools import lru_cache

import numpy as np
from scipy.stats import hypergeom

from montecarlo.errors import InputError


def mean_distinct(experts: int, top_k: int, tokens: np.ndarray | int) -> np.ndarray:
    """E[distinct] under uniform routing, E (1 - (1 - top_k / E)^n); the post's A(B). Shape of `tokens`."""
    if top_k == experts:
        return np.where(np.asarray(tokens) > 0, float(experts), 0.0)
    return np.asarray(experts * -np.expm1(np.asarray(tokens, np.float64) * np.log1p(-top_k / experts)))


def saturation(experts: int, top_k: int) -> int:
    """Tokens after which, under uniform routing, fewer than 1e-12 experts are expected to be missing."""
    return 1 if top_k == experts else int(np.ceil(np.log(1e-12 / experts) / np.log1p(-top_k / experts)))


@lru_cache(maxsize=8)
def distinct_pmf(experts: int, top_k: int, tokens: int) -> np.ndarray:
    """P(d distinct experts) under uniform routing [tokens + 1, experts + 1], for 0..tokens tokens."""
    already, new = np.arange(experts + 1)[:, None], np.arange(top_k + 1)[None, :]
    step = hypergeom.pmf(new, experts, experts - already, top_k)
    pmf = np.zeros((tokens + 1, experts + 1))
    pmf[0, 0] = 1.0
    for n in range(tokens):
        for j in range(top_k + 1):
            pmf[n + 1, j:] += (pmf[n] * step[:, j])[: experts + 1 - j]
    pmf.setflags(write=False)
    return pmf


@lru_cache(maxsize=4)
def _leggauss(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    x, weight = np.polynomial.legendre.leggauss(nodes)
    return x, weight


def inclusion(popularity: np.ndarray, top_k: int, nodes: int = 600) -> np.ndarray:
    """P(e in a token) [..., experts] for tokens of top_k distinct experts drawn in proportion to `popularity`.

    Gauss-Legendre over log t; relative error below 1e-7 for shares within a factor 1e3 of each other.
    """
    rates = np.asarray(popularity, np.float64) / np.sum(popularity, axis=-1, keepdims=True)
    experts = rates.shape[-1]
    if top_k == experts:
        return np.ones(rates.shape)
    x, weight = _leggauss(nodes)
    log_time = 0.5 * (x + 1) * np.log(1e13) - np.log(1e10)  # t from 1e-10 to 1e3 times the mean clock
    time = experts * np.exp(log_time)
    clock = time[:, None] * rates[..., None, :]  # [..., nodes, experts]
    rang = np.moveaxis(-np.expm1(-clock), -1, 0)
    front = np.zeros((experts + 1, *rang.shape[1:], top_k))
    back = np.zeros_like(front)
    front[0, ..., 0] = back[experts, ..., 0] = 1.0

    def add(counts: np.ndarray, chance: np.ndarray) -> np.ndarray:
        added = counts * (1 - chance)[..., None]
        added[..., 1:] += counts[..., :-1] * chance[..., None]
        return np.asarray(added)

    for e in range(experts):
        front[e + 1] = add(front[e], rang[e])
        back[experts - 1 - e] = add(back[experts - e], rang[experts - 1 - e])
    at_most = np.cumsum(back[1:], axis=-1)[..., ::-1]  # P(rest <= top_k - 1 - i), i = 0..
    fewer = np.moveaxis(np.sum(front[:-1] * at_most, axis=-1), 0, -1)
    density = rates[..., None, :] * np.exp(-clock) * fewer * time[:, None]
    return np.asarray((weight[:, None] * density).sum(axis=-2) * 0.5 * np.log(1e13))


def weights(shares: np.ndarray, top_k: int) -> np.ndarray:
    """Weights [..., experts] whose draws choose experts in these `shares`: inclusion(weights) = top_k shares.

    Shares above 0 and below 1 / top_k, since no expert is in a token twice. Fixed point: each weight is scaled by
    wanted over found, which settles since every inclusion rises with its own weight.
    """
    wanted = top_k * np.asarray(shares, np.float64) / np.sum(shares, axis=-1, keepdims=True)
    if not wanted.min() > 0 or (wanted.max() >= 1 and top_k < wanted.shape[-1]):
        raise InputError(
            f"shares run from {wanted.min() / top_k:.3g} to {wanted.max() / top_k:.3g}; with top_k {top_k} each lies "
            f"above 0 and below {1 / top_k:.3g}"
        )
    found = wanted / top_k
    for _ in range(200):
        chance = inclusion(found, top_k, nodes=120)
        if np.max(np.abs(chance / wanted - 1)) < 1e-6:
            break
        found = found * (wanted / chance)
        found = found / found.sum(axis=-1, keepdims=True)
    return np.asarray(found)


def popular_mean_distinct(popularity: np.ndarray, top_k: int, tokens: np.ndarray | int) -> np.ndarray:
    """E[distinct] of independent popularity-weighted tokens: sum_e 1 - (1 - P(e in token))^n."""
    missing = 1 - np.clip(inclusion(popularity, top_k), 0, 1)
    return np.asarray(np.sum(1 - missing ** np.asarray(tokens, np.float64)[..., None], axis=-1))
