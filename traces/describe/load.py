"""How evenly each layer loads its experts. With shares p_e of all uses, E experts:

entropy            -sum p_e log p_e / log E          1: all alike
exp_entropy        exp(-sum p_e log p_e)             as many equally used experts have this entropy
effective_experts  1 / sum p_e^2                     the inverse Simpson index
gini               sum_i (2 i - E - 1) p_(i) / E     p_(1) <= .. <= p_(E); 0: all alike
hottest            E max p_e                         the hottest expert over the mean
cv                 standard deviation over mean of the p_e
dead               experts that were never used
"""

import numpy as np
import polars as pl

from traces.schema import Schema

LOAD: Schema = {
    "layer": pl.Int64,  # depth in the model where the source tells; null: mean over the layers
    "uses": pl.Int64,
    "entropy": pl.Float64,
    "exp_entropy": pl.Float64,
    "effective_experts": pl.Float64,
    "gini": pl.Float64,
    "hottest": pl.Float64,
    "cv": pl.Float64,
    "dead": pl.Float64,
}


def statistics(uses: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of each layer [layers], of uses [layers, experts]; NaN for a layer without any."""
    count = uses.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = uses / uses.sum(axis=1, keepdims=True)
        entropy = -np.sum(np.where(share > 0, share * np.log(share), 0.0 * share), axis=1)
        ranks = 2 * np.arange(1, count + 1) - count - 1
        return {
            "entropy": entropy / np.log(count) if count > 1 else np.ones(len(uses)),
            "exp_entropy": np.exp(entropy),
            "effective_experts": 1 / np.sum(share**2, axis=1),
            "gini": np.sort(share, axis=1) @ ranks / count,
            "hottest": count * share.max(axis=1),
            "cv": count * share.std(axis=1),
            "dead": (uses == 0).sum(axis=1).astype(np.float64),
        }


def load(uses: np.ndarray, layers: list[int]) -> pl.DataFrame:
    """LOAD of uses [layers, experts], a row per layer and one for their mean."""
    found = statistics(uses)
    columns = {name: [*values, np.nanmean(values)] for name, values in found.items()}
    said = {"layer": [*layers, None], "uses": [*uses.sum(axis=1).astype(np.int64), int(uses.sum())]}
    return pl.DataFrame(said | columns, schema=LOAD).with_columns(pl.col(pl.Float64).fill_nan(None))
