"""How unlike requests, turns and neighbouring steps are, in tokens per step x (the bonus counted). All steps count.

    icc             between requests (or turns), one-way analysis of variance for k clusters of n_i steps, N in all:
                      MSB = sum n_i (m_i - m)^2 / (k - 1)      MSW = sum_ij (x_ij - m_i)^2 / (N - k)
                      n_0 = (N - sum n_i^2 / N) / (k - 1)      icc = (MSB - MSW) / (MSB + (n_0 - 1) MSW)
                    (Donner, International Statistical Review 54, 1986); it can come out below 0
    overdispersion  variance of the means m_i over what independent steps would give, var(x) mean(1 / n_i)
    variance_32     variance of the tokens of 32 steps in a row of one request, over 32 var(x); all such stretches
    autocorrelation at a lag within a turn, demeaned by turn, with the bias that brings to independent steps taken out:
                      c = mean over pairs of (x_t - m)(x_t+lag - m)      s^2 = sum (x - m)^2 / sum (n_i - 1)
                      (c + s^2 sum ((n_i - lag) / n_i) / pairs) / s^2

Standard errors are of the requests (traces/describe/jackknife.py).
"""

import numpy as np
import polars as pl

from traces.describe.jackknife import Sums, by_group, grouped, with_error
from traces.describe.steps import STRATUM, Steps
from traces.schema import Schema

LAGS = (1, 2, 5, 10, 20, 40)
SPAN = 32  # steps of a stretch

SPREAD: Schema = {
    **STRATUM,
    "statistic": pl.Enum(["icc", "overdispersion", "variance_32", "autocorrelation"]),
    "unit": pl.Enum(["request", "turn"]),
    "lag": pl.Int64,
    "estimate": pl.Float64,
    "trace_se": pl.Float64,  # null where there is one request
}


def spread(strata: list[Steps]) -> pl.DataFrame:
    """SPREAD of every stratum; what cannot be estimated (one request, no pair of steps) is left out."""
    rows = [row for steps in strata for row in _rows(steps)]
    frame = pl.DataFrame(rows, schema=SPREAD, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))
    return frame.filter(pl.col("estimate").is_finite())


def _rows(steps: Steps) -> list[tuple[object, ...]]:
    group = grouped(steps.requests)
    named: list[tuple[str, str, int | None]] = []
    found = []
    of_turn = np.zeros(steps.turns, np.int64)
    of_turn[steps.turn] = steps.request  # the request of each turn
    for unit, cluster, owner in (
        ("request", steps.request, np.arange(steps.requests)),
        ("turn", steps.turn, of_turn),
    ):
        sums = _clusters(steps.tokens.astype(np.float64), cluster, group[owner], int(group.max()) + 1)
        named += [("icc", unit, None), ("overdispersion", unit, None)]
        found.append(with_error(sums, _variances))
    named.append(("variance_32", "request", None))
    found.append(with_error(_stretches(steps, group), _variance_of_stretches))
    named += [("autocorrelation", "turn", lag) for lag in LAGS]
    found.append(with_error(_lagged(steps, group), _autocorrelation))
    value, error = (np.concatenate(part) for part in zip(*found, strict=True))
    return [(steps.by, steps.value, *name, value[at], error[at]) for at, name in enumerate(named)]


def _clusters(tokens: np.ndarray, cluster: np.ndarray, group: np.ndarray, groups: int) -> dict[str, np.ndarray]:
    """Sums over clusters, by group [groups]; group [clusters]."""
    size = np.bincount(cluster).astype(np.float64)
    total, squares = np.bincount(cluster, tokens), np.bincount(cluster, tokens**2)
    mean = total / size
    columns = {
        "clusters": np.ones_like(size),
        "steps": size,
        "sizes": size**2,
        "inverse": 1 / size,
        "tokens": total,
        "squares": squares,
        "between": total * mean,
        "means": mean,
        "means_squared": mean**2,
    }
    return {name: by_group(column, group, groups) for name, column in columns.items()}


def _variances(held: Sums) -> np.ndarray:
    """(icc, over-dispersion) in the last axis."""
    k, steps = held["clusters"], held["steps"]
    msb = (held["between"] - held["tokens"] ** 2 / steps) / (k - 1)
    msw = (held["squares"] - held["between"]) / (steps - k)
    n_0 = (steps - held["sizes"] / steps) / (k - 1)
    of_means = (held["means_squared"] - held["means"] ** 2 / k) / (k - 1)
    variance = held["squares"] / steps - (held["tokens"] / steps) ** 2
    return np.stack([(msb - msw) / (msb + (n_0 - 1) * msw), of_means / (variance * held["inverse"] / k)], axis=-1)


def _stretches(steps: Steps, group: np.ndarray) -> dict[str, np.ndarray]:
    groups, tokens = int(group.max()) + 1, steps.tokens.astype(np.float64)
    sums = {
        name: np.bincount(group[steps.request], column, minlength=groups)
        for name, column in (("steps", np.ones_like(tokens)), ("tokens", tokens), ("squares", tokens**2))
    }
    total = np.concatenate([[0.0], np.cumsum(tokens)])
    first = np.arange(max(len(tokens) - SPAN + 1, 0))
    first = first[steps.request[first] == steps.request[first + SPAN - 1]]
    held, of = total[first + SPAN] - total[first], group[steps.request[first]]
    for name, column in (("stretches", np.ones_like(held)), ("sums", held), ("sums_squared", held**2)):
        sums[name] = np.bincount(of, column, minlength=groups)
    return sums


def _variance_of_stretches(held: Sums) -> np.ndarray:
    single = held["squares"] / held["steps"] - (held["tokens"] / held["steps"]) ** 2
    joint = held["sums_squared"] / held["stretches"] - (held["sums"] / held["stretches"]) ** 2
    return (joint / (SPAN * single))[..., None]


def _lagged(steps: Steps, group: np.ndarray) -> dict[str, np.ndarray]:
    groups, of = int(group.max()) + 1, group[steps.request]
    size = np.bincount(steps.turn).astype(np.float64)
    apart = steps.tokens - (np.bincount(steps.turn, steps.tokens) / size)[steps.turn]
    first = np.concatenate([[0], np.cumsum(size[:-1])]).astype(np.int64)
    products, bias, pairs = (np.zeros((groups, len(LAGS))) for _ in range(3))
    for place, lag in enumerate(LAGS):
        same = steps.turn[lag:] == steps.turn[:-lag]
        products[:, place] = np.bincount(of[lag:][same], (apart[lag:] * apart[:-lag])[same], minlength=groups)
        pairs[:, place] = np.bincount(of[first], np.maximum(size - lag, 0), minlength=groups)
        bias[:, place] = np.bincount(of[first], np.maximum(size - lag, 0) / size, minlength=groups)
    return {
        "products": products,
        "pairs": pairs,
        "bias": bias,
        "squares": np.bincount(of, apart**2, minlength=groups),
        "freedom": np.bincount(of[first], size - 1, minlength=groups),
    }


def _autocorrelation(held: Sums) -> np.ndarray:
    variance = (held["squares"] / held["freedom"])[..., None]
    return (held["products"] + variance * held["bias"]) / (held["pairs"] * variance)
