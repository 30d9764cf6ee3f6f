"""Distinct experts of a verify window, alone and in a batch.

WINDOWS_SEEN  windows of n neighbouring tokens of one request, 1 <= n <= 32; all windows count alike, so long requests
              count more
BATCHES       B requests drawn independently, each with one of its windows of n tokens at random; all requests count
              alike; batches of more requests than there are are left out. With q_e(n) the share of a request's windows
              that contain expert e, averaged over requests,

    distinct(B, n) = sum_e 1 - (1 - q_e(n))^B

Both are exact: all windows are counted, nothing is sampled. Beside them, over N = n or N = B n tokens:

    uniform        E (1 - (1 - top_k / E)^N)
    popularity     sum_e 1 - (1 - pi_e)^N           pi_e: share of the tokens that use expert e
    random_tokens  sum_e 1 - C(T - c_e, n) / C(T, n)   n of the trace's T tokens at random, c_e of which use e
"""

import numpy as np
import polars as pl

from montecarlo.exact import mean_distinct
from traces.describe.jackknife import Sums, with_error
from traces.describe.sums import DEEPEST, WINDOWS, Routing
from traces.schema import Schema

SIZES = (1, 2, 4, 8, 16, 32, 64)  # requests in a batch

WINDOWS_SEEN: Schema = {
    "layer": pl.Int64,  # null: mean over the layers
    "window": pl.Int64,
    "distinct": pl.Float64,
    "distinct_trace_se": pl.Float64,  # requests resampled (jackknife); null where there is one request
    "uniform": pl.Float64,
    "popularity": pl.Float64,
    "random_tokens": pl.Float64,
}

BATCHES: Schema = {
    "layer": pl.Int64,
    "batch": pl.Int64,
    "window": pl.Int64,
    "requests": pl.Int64,  # of the trace, long enough for the window
    "distinct": pl.Float64,
    "distinct_trace_se": pl.Float64,
    "uniform": pl.Float64,
    "popularity": pl.Float64,
}


def met_first() -> np.ndarray:
    """Windows that meet a use of an expert first [rest, age, window], windows of 1 .. DEEPEST tokens."""
    rest, age, size = np.ogrid[0:DEEPEST, 1 : DEEPEST + 1, 1 : DEEPEST + 1]
    return np.maximum(np.minimum(age, size) - np.maximum(size - 1 - rest, 0), 0)


def windows(sums: Routing, in_all: np.ndarray, layers: list[int], top_k: int) -> pl.DataFrame:
    """WINDOWS_SEEN; in_all [groups, windows]: the windows of 1 .. DEEPEST tokens there are."""
    met = met_first().astype(np.float64)

    def statistic(held: Sums) -> np.ndarray:
        found = np.tensordot(held["firsts"], met, axes=2) / held["in_all"][..., None, :]
        return _with_mean(found)

    value, error = with_error({"firsts": sums.firsts, "in_all": in_all}, statistic)
    sizes = np.arange(1, DEEPEST + 1)
    uses, tokens = sums.uses.sum(axis=0), float(sums.tokens.sum())
    left = np.maximum(tokens - np.arange(DEEPEST), 1)  # absent[n] = C(T - c, n) / C(T, n)
    absent = np.cumprod(np.maximum(tokens - uses[..., None] - np.arange(DEEPEST), 0) / left, axis=-1)
    columns = {
        "distinct": value,
        "distinct_trace_se": error,
        "uniform": np.broadcast_to(mean_distinct(uses.shape[1], top_k, sizes), value.shape),
        "popularity": _with_mean(_popularity(uses / tokens, sizes)),
        "random_tokens": _with_mean((1 - absent).sum(axis=-2)),
    }
    return _tidy(columns, {"window": sizes}, layers, WINDOWS_SEEN)


def batches(sums: Routing, layers: list[int], top_k: int) -> pl.DataFrame:
    """BATCHES."""

    def statistic(held: Sums) -> np.ndarray:
        absent = 1 - held["holds"] / held["held"][..., None, :, None]
        found = np.stack([(1 - np.maximum(absent, 0) ** size).sum(axis=-1) for size in SIZES], axis=-2)
        return _with_mean(found.reshape(*found.shape[:-2], -1))  # [..., layers + 1, batches x windows]

    value, error = with_error({"holds": sums.holds, "held": sums.held}, statistic)
    batch, window = np.repeat(SIZES, len(WINDOWS)), np.tile(WINDOWS, len(SIZES))
    uses = sums.uses.sum(axis=0)
    columns = {
        "requests": np.broadcast_to(np.tile(sums.held.sum(axis=0), len(SIZES)), value.shape).astype(np.int64),
        "distinct": value,
        "distinct_trace_se": error,
        "uniform": np.broadcast_to(mean_distinct(uses.shape[1], top_k, batch * window), value.shape),
        "popularity": _with_mean(_popularity(uses / sums.tokens.sum(), batch * window)),
    }
    return _tidy(columns, {"batch": batch, "window": window}, layers, BATCHES).filter(
        pl.col("batch") <= pl.col("requests")
    )


def _popularity(inclusion: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Distinct experts [layers, sizes] of independent tokens, inclusion [layers, experts]."""
    absent = 1 - np.minimum(inclusion, 1)
    return np.stack([(1 - absent**n).sum(axis=-1) for n in tokens], axis=-1)


def _with_mean(by_layer: np.ndarray) -> np.ndarray:
    """[..., layers + 1, x]: their mean behind the layers."""
    return np.concatenate([by_layer, by_layer.mean(axis=-2, keepdims=True)], axis=-2)


def _tidy(
    columns: dict[str, np.ndarray], keys: dict[str, np.ndarray], layers: list[int], schema: Schema
) -> pl.DataFrame:
    """Columns [layers + 1, x] as rows, without those of windows longer than any request."""
    named: list[int | None] = [*layers, None]
    size = len(next(iter(keys.values())))
    said = {"layer": [layer for layer in named for _ in range(size)]}
    keyed = {name: np.tile(values, len(named)) for name, values in keys.items()}
    values = {name: np.ascontiguousarray(column).ravel() for name, column in columns.items()}
    frame = pl.DataFrame(said | keyed | values, schema={name: schema[name] for name in (*said, *keyed, *values)})
    return (
        frame.with_columns(pl.col(pl.Float64).fill_nan(None)).filter(pl.col("distinct").is_not_null()).select(*schema)
    )
