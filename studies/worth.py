"""What knowing is worth: everything, one unknown, or what a measurement of some size would show; and what a better
drafter, model or engine would be.

The decision is one static length per batch, before anything is known; utility is log throughput (montecarlo/value.py).
A measurement shows estimates x + sd e / sqrt(size), e standard normal, of unknowns or of what benches print
(studies/defaults/unknowns.toml: laws and sources); its sizes share e, so they differ by size alone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from montecarlo import value
from montecarlo.estimate import Floats
from montecarlo.keys import Stream, generator
from montecarlo.terms import NAMES
from montecarlo.value import Worth
from studies.draws import Draws
from studies.response import Change
from studies.unknowns import label, table

Rows = Iterator[dict[str, Any]]

IMPROVED = 1024  # draws for what an improvement is worth
TOGETHER = ("acceptance", "decay")  # what one log shows at once


def rows(draws: Draws) -> Rows:
    """EVPI, EVPPI of every group, EVSI of every measurement and size; by batch, and their mean (batch null)."""
    utility = draws.halves.log_rate
    yield from _told(draws, "everything", "everything", "everything at once", value.evpi(utility))
    known, columns = draws.unknowns, draws.unknowns.columns
    groups = [*zip(known.names(), known.groups, strict=True), (" + ".join(TOGETHER), TOGETHER)]
    for name, group in groups:
        gained = value.evppi(utility, draws.points[:, [columns.index(unknown) for unknown in group]])
        yield from _told(draws, "unknown", name, ", ".join(map(label, group)), gained)
    for number, (name, given) in enumerate(table()["measurement"].items()):
        truth = _truth(draws, given)
        if truth is None:
            continue
        noise = generator(draws.seed, number, Stream.MEASUREMENT).standard_normal(truth.shape) * given["sd"]
        for size in given["sizes"]:
            gained = value.evppi(utility, truth + noise / np.sqrt(size))
            yield from _told(draws, "measurement", name, given["label"], gained, size, given["unit"])


def _truth(draws: Draws, given: dict[str, Any]) -> Floats | None:
    """What a measurement would show without error [draws, dimensions]; None where there is nothing to see."""
    if "shows" in given:
        if not set(given["shows"]) <= set(draws.unknowns.columns):
            return None
        seen = [draws.unknowns.value(name, draws.points) for name in given["shows"]]
        return np.column_stack(
            [np.log(x) if name == "overlap" else x for name, x in zip(given["shows"], seen, strict=True)]
        )
    batches, lengths = np.asarray(draws.response.batches), draws.lengths
    near = sorted({int(np.argmin(np.abs(np.log(batches / asked)))) for asked in given["concurrency"]})
    undrafted, rate = draws.response.expected(draws.points)
    if given["draft_length"] == 0:
        return np.log(undrafted[:, near]) if set(draws.unknowns.columns) & set(NAMES) else None
    length = int(np.argmin(np.abs(lengths - given["draft_length"])))
    near = [b for b in near if draws.response.allowed[b, length]]
    return np.log(rate[:, near, length] * undrafted[:, near]) if near and length > 0 else None


def _told(
    draws: Draws, kind: str, what: str, label: str, gained: Worth, size: int | None = None, unit: str | None = None
) -> Rows:
    every = Worth(gained.gains.mean(axis=1))
    cells: list[Any] = [(None, every.percent, every.percent_error)]
    cells += list(zip(draws.response.batches, gained.percent, gained.percent_error, strict=True))
    for batch, percent, error in cells:
        yield {
            "scenario": draws.name,
            "batch": batch,
            "kind": kind,
            "what": what,
            "label": label,
            "size": size,
            "unit": unit,
            "percent": float(percent),
            "percent_se": float(error),
        }


def improvements(draws: Draws) -> Rows:
    """Percent of throughput that each improvement gains at the recommended length, which is not chosen again."""
    points = draws.points[:IMPROVED]
    at = (np.arange(len(draws.recommended)), draws.recommended)
    before = draws.response.expected(points)[1][:, *at]
    for name, given in table()["improvement"].items():
        if (name == "overlap" and not draws.built.experts) or (name == "fixed" and draws.built.priors is None):
            continue
        gain = np.log(draws.response.expected(points, Change(**{name: given["factor"]}))[1][:, *at] / before)
        low, high = np.quantile(gain, (0.05, 0.95), axis=0)
        for b, batch in enumerate(draws.response.batches):
            yield {
                "scenario": draws.name,
                "batch": batch,
                "draft_length": int(draws.lengths[draws.recommended[b]]),
                "improvement": name,
                "label": given["label"],
                "percent": 100 * np.expm1(gain[:, b].mean()),
                "percent_p05": 100 * np.expm1(low[b]),
                "percent_p95": 100 * np.expm1(high[b]),
            }
