"""The three errors of a speedup, never mixed: Monte Carlo, trace, and what is not known or differs between worlds."""

from dataclasses import dataclass
from statistics import median

import polars as pl

from reports.words import listed, percent

STANDARD_DEVIATIONS = 2 * 1.6449  # from the 5th to the 95th percentile of a normal law
EXACT = (
    "No error of the three is in these numbers: nothing is drawn (no Monte Carlo error), no trace is resampled (no "
    "trace error), and every unknown stands at its median. How well the unknowns are known is then the largest; "
    "optimal-k draws them, sensitivity says which of them matters."
)


@dataclass(frozen=True)
class Uncertainty:
    """One kind of error: a standard deviation relative to the speedup, its median and largest over cells."""

    name: str
    source: str
    cure: str
    median: float | None
    largest: float | None


def uncertainties(cells: pl.DataFrame, *, drawn: bool) -> list[Uncertainty]:
    """The three errors over cells with columns speedup, speedup_se, speedup_p05, speedup_p95 and speedup_trace_se.

    A column that is not there is an error that was not measured. drawn: whether worlds differ in the engine too.
    """
    of_worlds = ("how engines and traffic differ", "measured runs, one of them with drafts (calibrate)")
    of_traffic = ("one draw of requests is not the next", "nothing: it is the traffic")
    spread = (pl.col("speedup_p95") - pl.col("speedup_p05")) / STANDARD_DEVIATIONS
    kinds = [
        ("Monte Carlo error", "finitely many simulated requests", "more worlds", pl.col("speedup_se")),
        ("trace error", "finitely many requests in the trace", "a longer trace", pl.col("speedup_trace_se")),
        ("spread over worlds", *(of_worlds if drawn else of_traffic), spread),
    ]
    held = (
        cells if "speedup_trace_se" in cells.columns else cells.with_columns(speedup_trace_se=pl.lit(None, pl.Float64))
    )
    relative = held.select((error / pl.col("speedup")).alias(name) for name, _, _, error in kinds)
    return [_uncertainty(name, source, cure, relative[name].drop_nulls()) for name, source, cure, _ in kinds]


def _uncertainty(name: str, source: str, cure: str, known: pl.Series) -> Uncertainty:
    values = known.to_list()
    middle = median(values) if values else None
    return Uncertainty(name, source, cure, middle, max(values, default=None))


def largest(errors: list[Uncertainty]) -> str:
    """Which of the errors is the largest, in a sentence."""
    known = [error for error in errors if error.median is not None]
    first = max(known, key=lambda error: error.median or 0)
    others = [f"the {error.name}'s {percent(error.median or 0, 2)}" for error in known if error is not first]
    against = f" (against {listed(others)})" if others else ""
    return f"The largest is the {first.name}: typically {percent(first.median or 0, 2)} of the speedup{against}."
