"""How unlike requests, turns and neighbouring steps are, in tokens per step (the bonus counted). All steps count.

The estimators are those of traces/spread.py. Standard errors are of the requests (traces/describe/jackknife.py).
"""

import numpy as np
import polars as pl

from traces import spread as estimators
from traces.describe.jackknife import grouped, with_error
from traces.describe.steps import STRATUM, Steps
from traces.schema import Schema

LAGS = (1, 2, 5, 10, 20, 40)

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
    group, tokens = grouped(steps.requests), steps.tokens.astype(np.float64)
    groups = int(group.max()) + 1
    named: list[tuple[str, str, int | None]] = []
    found = []
    of_turn = np.zeros(steps.turns, np.int64)
    of_turn[steps.turn] = steps.request  # the request of each turn
    for unit, cluster, of in (("request", steps.request, group), ("turn", steps.turn, group[of_turn])):
        named += [("icc", unit, None), ("overdispersion", unit, None)]
        found.append(with_error(estimators.of_clusters(tokens, cluster, of, groups), estimators.variances))
    named.append(("variance_32", "request", None))
    stretches = estimators.of_stretches(tokens, steps.request, group, groups)
    found.append(with_error(stretches, estimators.variance_of_stretches))
    named += [("autocorrelation", "turn", lag) for lag in LAGS]
    lagged = estimators.of_lags(tokens, steps.turn, group[of_turn], groups, LAGS)
    found.append(with_error(lagged, estimators.autocorrelation))
    value, error = (np.concatenate(part) for part in zip(*found, strict=True))
    return [(steps.by, steps.value, *name, value[at], error[at]) for at, name in enumerate(named)]
