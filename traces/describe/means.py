"""Tokens per step (the bonus counted), by every weighting in use. Request r: T_r tokens in n_r steps.

    tokens_per_step    sum T_r / sum n_r                     what throughput follows
    request_weighted   mean of T_r / n_r                     what the average request sees
    token_weighted     sum T_r (T_r / n_r) / sum T_r         what the average token sees

and the spread of T_r / n_r over requests, and of the same over turns.
"""

import numpy as np
import polars as pl

from traces.describe.jackknife import Sums, by_group, grouped, with_error
from traces.describe.steps import STRATUM, Steps
from traces.schema import Schema

NAMES = ("tokens_per_step", "request_weighted", "token_weighted")
SHARES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}

TOKENS_PER_STEP: Schema = {
    **STRATUM,
    "requests": pl.Int64,
    "turns": pl.Int64,
    "steps": pl.Int64,
    "tokens": pl.Int64,
    **{name + suffix: pl.Float64 for name in NAMES for suffix in ("", "_trace_se")},  # se null for one request
    **{f"{unit}_{name}": pl.Float64 for unit in ("request", "turn") for name in SHARES},
}


def means(strata: list[Steps]) -> pl.DataFrame:
    """TOKENS_PER_STEP of every stratum."""
    rows = [_row(steps) for steps in strata]
    return pl.DataFrame(rows, schema=TOKENS_PER_STEP).with_columns(pl.col(pl.Float64).fill_nan(None))


def _row(steps: Steps) -> dict[str, object]:
    size, tokens = np.bincount(steps.request), np.bincount(steps.request, steps.tokens)
    by_request = tokens / size
    by_turn = np.bincount(steps.turn, steps.tokens) / np.bincount(steps.turn)
    group = grouped(steps.requests)
    columns = {"requests": size**0, "steps": size, "tokens": tokens, "mean": by_request, "seen": tokens * by_request}
    sums = {name: by_group(column, group, int(group.max()) + 1) for name, column in columns.items()}
    value, error = with_error(sums, _weighted)
    return {
        "by": steps.by,
        "value": steps.value,
        "requests": steps.requests,
        "turns": steps.turns,
        "steps": len(steps.request),
        "tokens": int(steps.tokens.sum()),
        **dict(zip(NAMES, value, strict=True)),
        **{f"{name}_trace_se": found for name, found in zip(NAMES, error, strict=True)},
        **{f"request_{name}": float(np.quantile(by_request, share)) for name, share in SHARES.items()},
        **{f"turn_{name}": float(np.quantile(by_turn, share)) for name, share in SHARES.items()},
    }


def _weighted(held: Sums) -> np.ndarray:
    return np.stack(
        [held["tokens"] / held["steps"], held["mean"] / held["requests"], held["seen"] / held["tokens"]], axis=-1
    )
