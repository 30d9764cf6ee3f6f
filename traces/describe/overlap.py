"""Share of a token's top_k experts that another token uses too, in the same layer.

    lag        two tokens of one text `lag` apart; all pairs count alike, so long requests count more
    request    a random pair of one request, requests weighted by their tokens: sum_e c (c - 1) / (T (T - 1) top_k)
    pooled     a random pair of all tokens, by the same formula
    uniform    top_k / E

c: uses of expert e by T tokens. Nothing is sampled: all pairs are counted.
"""

import numpy as np
import polars as pl

from traces.describe.jackknife import Sums, with_error
from traces.describe.sums import LAGS, Routing
from traces.schema import Schema

OVERLAP: Schema = {
    "layer": pl.Int64,  # null: mean over the layers
    "pair": pl.Enum(["lag", "request", "pooled", "uniform"]),
    "lag": pl.Int64,
    "overlap": pl.Float64,
    "overlap_trace_se": pl.Float64,  # requests resampled (jackknife); null where there is one request, or no chance
}


def overlap(sums: Routing, layers: list[int], top_k: int) -> pl.DataFrame:
    """OVERLAP: every pair, by layer and their mean."""

    def statistic(held: Sums) -> np.ndarray:
        tokens = held["tokens"][..., None]
        uses = held["uses"]
        found = [
            *np.moveaxis(held["shared"] / held["pairs"][..., None, :], -1, 0),
            held["alike"] / held["paired"][..., None],
            np.sum(uses * (uses - 1), axis=-1) / (tokens * (tokens - 1)),
        ]
        by_layer = np.stack(found, axis=-2) / top_k
        return np.concatenate([by_layer, by_layer.mean(axis=-1, keepdims=True)], axis=-1)

    held = {name: getattr(sums, name) for name in ("tokens", "uses", "shared", "pairs", "alike", "paired")}
    value, error = with_error(held, statistic)
    pairs: list[tuple[str, int | None]] = [*(("lag", lag) for lag in LAGS), ("request", None), ("pooled", None)]
    rows: list[tuple[int | None, str, int | None, float, float | None]] = []
    for place, layer in enumerate([*layers, None]):
        for number, (pair, lag) in enumerate(pairs):
            rows.append((layer, pair, lag, float(value[number, place]), float(error[number, place])))
        rows.append((layer, "uniform", None, top_k / sums.uses.shape[2], None))
    frame = pl.DataFrame(rows, schema=OVERLAP, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))
    return frame.filter(pl.col("overlap").is_not_null())
