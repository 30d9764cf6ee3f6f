"""How unlike requests, turns and neighbouring steps are, in numbers x of steps: estimators of sums over steps.

    icc             of clusters (requests or turns), one-way analysis of variance for k clusters of n_i steps, N in all:
                      MSB = sum n_i (m_i - m)^2 / (k - 1)      MSW = sum_ij (x_ij - m_i)^2 / (N - k)
                      n_0 = (N - sum n_i^2 / N) / (k - 1)      icc = (MSB - MSW) / (MSB + (n_0 - 1) MSW)
                    (Donner, International Statistical Review 54, 1986); it can come out below 0
    overdispersion  variance of the means m_i over what independent steps would give, var(x) mean(1 / n_i)
    variance_32     variance of the sum of 32 steps in a row of one request, over 32 var(x); all such stretches
    autocorrelation at a lag within a turn, demeaned by turn, with the bias that brings to independent steps taken out:
                      c = mean over pairs of (x_t - m)(x_t+lag - m)      s^2 = sum (x - m)^2 / sum (n_i - 1)
                      (c + s^2 sum ((n_i - lag) / n_i) / pairs) / s^2

Each estimator is a function of sums, so that a description can leave groups of requests out (describe/spread.py);
a fit compares the numbers of whole logs (traces/acceptance_stats.py). None changes where a constant is added to x.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Sums = Mapping[str, np.ndarray]

SPAN = 32  # steps of a stretch


def of_clusters(values: Floats, cluster: Integers, group: Integers, groups: int) -> Sums:
    """Sums over clusters, by group [groups]; cluster [steps], numbered from 0; group [clusters]."""
    size = np.bincount(cluster).astype(np.float64)
    total, squares = np.bincount(cluster, values), np.bincount(cluster, values**2)
    mean = total / size
    columns = {
        "clusters": np.ones_like(size),
        "steps": size,
        "sizes": size**2,
        "inverse": 1 / size,
        "values": total,
        "squares": squares,
        "between": total * mean,
        "means": mean,
        "means_squared": mean**2,
    }
    return {name: np.bincount(group, column, minlength=groups) for name, column in columns.items()}


def variances(held: Sums) -> np.ndarray:
    """(icc, overdispersion) in the last axis, of sums `of_clusters`."""
    k, steps = held["clusters"], held["steps"]
    msb = (held["between"] - held["values"] ** 2 / steps) / (k - 1)
    msw = (held["squares"] - held["between"]) / (steps - k)
    n_0 = (steps - held["sizes"] / steps) / (k - 1)
    of_means = (held["means_squared"] - held["means"] ** 2 / k) / (k - 1)
    variance = held["squares"] / steps - (held["values"] / steps) ** 2
    return np.stack([(msb - msw) / (msb + (n_0 - 1) * msw), of_means / (variance * held["inverse"] / k)], axis=-1)


def of_stretches(values: Floats, request: Integers, group: Integers, groups: int) -> Sums:
    """Sums over steps and over stretches, by group [groups]; request [steps] in order; group [requests]."""
    sums = {
        name: np.bincount(group[request], column, minlength=groups)
        for name, column in (("steps", np.ones_like(values)), ("values", values), ("squares", values**2))
    }
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.arange(max(len(values) - SPAN + 1, 0))
    first = first[request[first] == request[first + SPAN - 1]]
    held, of = total[first + SPAN] - total[first], group[request[first]]
    for name, column in (("stretches", np.ones_like(held)), ("sums", held), ("sums_squared", held**2)):
        sums[name] = np.bincount(of, column, minlength=groups)
    return sums


def variance_of_stretches(held: Sums) -> np.ndarray:
    """variance_32 in the last axis, of sums `of_stretches`."""
    single = held["squares"] / held["steps"] - (held["values"] / held["steps"]) ** 2
    joint = held["sums_squared"] / held["stretches"] - (held["sums"] / held["stretches"]) ** 2
    return (joint / (SPAN * single))[..., None]


def of_lags(values: Floats, turn: Integers, group: Integers, groups: int, lags: Sequence[int]) -> Sums:
    """Sums over pairs by group [groups, lags], and over steps; turn [steps] from 0; group [turns]."""
    size = np.bincount(turn).astype(np.float64)
    apart, of = values - (np.bincount(turn, values) / size)[turn], group[turn]
    products, bias, pairs = (np.zeros((groups, len(lags))) for _ in range(3))
    for place, lag in enumerate(lags):
        same = turn[lag:] == turn[:-lag]
        products[:, place] = np.bincount(of[lag:][same], (apart[lag:] * apart[:-lag])[same], minlength=groups)
        pairs[:, place] = np.bincount(group, np.maximum(size - lag, 0), minlength=groups)
        bias[:, place] = np.bincount(group, np.maximum(size - lag, 0) / size, minlength=groups)
    return {
        "products": products,
        "pairs": pairs,
        "bias": bias,
        "squares": np.bincount(of, apart**2, minlength=groups),
        "freedom": np.bincount(group, size - 1, minlength=groups),
    }


def autocorrelation(held: Sums) -> np.ndarray:
    """At each lag in the last axis, of sums `of_lags`."""
    variance = (held["squares"] / held["freedom"])[..., None]
    return (held["products"] + variance * held["bias"]) / (held["pairs"] * variance)


def icc(cluster: Integers, values: Floats) -> float:
    """Intra-class correlation of `values` [steps] by `cluster` [steps] (any labels); nan where it cannot be told."""
    of = np.unique(cluster, return_inverse=True)[1]
    return _whole(variances, of_clusters(values, of, np.zeros(int(of.max(initial=-1)) + 1, np.int64), 1))


def variance_32(request: Integers, values: Floats) -> float:
    """Variance of 32 steps of `values` [steps] in a row of a `request` [steps]; nan where none is so long."""
    of = np.unique(request, return_inverse=True)[1]
    return _whole(variance_of_stretches, of_stretches(values, of, np.zeros(int(of.max(initial=-1)) + 1, np.int64), 1))


def lag_one(turn: Integers, values: Floats) -> float:
    """Correlation of neighbouring steps of `values` [steps] within a `turn` [steps]; nan where there is no pair."""
    of = np.unique(turn, return_inverse=True)[1]
    return _whole(autocorrelation, of_lags(values, of, np.zeros(int(of.max(initial=-1)) + 1, np.int64), 1, (1,)))


def _whole(statistic: Callable[[Sums], np.ndarray], sums: Sums) -> float:
    """The first number of a statistic of the totals; nan where nothing varies or too little is there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic({name: total.sum(axis=0) for name, total in sums.items()}).ravel()[0])
    return value if np.isfinite(value) else float("nan")
