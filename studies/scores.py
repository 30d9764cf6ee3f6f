"""How good predictions are: the interval score, coverage and errors, beside naive predictors.

    S(l, u; x) = (u - l) + (2 / a) (l - x) 1{x < l} + (2 / a) (x - u) 1{x > u},    a = 1 - level

(Gneiting and Raftery, JASA 102, 359-378, 2007, eq. 43; lower is better.) Taken of logs here, so that rows of any size
count alike. A naive predictor gives a number; it is given the interval that the discrepancy of our prices alone makes
around it, so that it is not beaten for having none.
"""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.stats import norm

from montecarlo.roofline import Floats

LEVEL = 0.90
EDGE = float(norm.ppf((1 + LEVEL) / 2))
NAIVE = ("roofline", "tokens_only")
RATIOS = ("step ratio", "throughput gain")  # of two rows, so of two discrepancies


def interval_score(low: ArrayLike, high: ArrayLike, value: ArrayLike, level: float = LEVEL) -> Floats:
    """The score of intervals that should hold `value` with probability `level`; shapes broadcast."""
    missed = np.maximum(np.subtract(low, value), 0) + np.maximum(np.subtract(value, high), 0)
    return np.asarray(np.subtract(high, low) + 2 / (1 - level) * missed, np.float64)


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Scores by scenario and quantity, for each draft length and for all together (null)."""
    found = []
    for (scenario, quantity), part in rows.group_by("scenario", "quantity", maintain_order=True):
        lengths = part["draft_length"].unique().sort().to_list()
        for length in [None, *lengths]:
            here = part if length is None else part.filter(draft_length=length)
            found.append({"scenario": scenario, "quantity": quantity, "draft_length": length} | _scores(here))
    return pl.DataFrame(found, infer_schema_length=None)


def _scores(rows: pl.DataFrame) -> dict[str, float | int]:
    value = np.log(rows["measured"].to_numpy())
    low, high = (np.log(rows[f"predicted_{edge}"].to_numpy()) for edge in ("p05", "p95"))
    noise = rows["discrepancy"].to_numpy() * np.where(rows["quantity"].is_in(RATIOS).to_numpy(), np.sqrt(2), 1)
    found = {
        "rows": rows.height,
        "coverage": float(rows["covered"].cast(pl.Float64).to_numpy().mean()),
        "median_width": float(np.median((rows["predicted_p95"] - rows["predicted_p05"]) / rows["predicted"])),
        "median_error": float(np.median(np.abs(rows["error"].to_numpy()))),
        "interval_score": float(interval_score(low, high, value).mean()),
    }
    for name in NAIVE:
        point = np.log(rows[name].to_numpy())
        found[f"{name}_median_error"] = float(np.median(np.abs(np.expm1(point - value))))
        score = interval_score(point - EDGE * noise, point + EDGE * noise, value)
        found[f"{name}_interval_score"] = float(score.mean())
    return found
