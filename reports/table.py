"""The cells of a scenario as a table of words: one row per batch and context."""

from dataclasses import dataclass

from reports.scenario import Row, Scenario
from reports.words import percent


@dataclass(frozen=True)
class Line:
    """A row of the table: its batch, then a value per column; none where it does not fit in memory."""

    batch: str
    values: list[str]
    drafts: bool


@dataclass(frozen=True)
class Table:
    """Headings of the values, and the rows by context."""

    headings: list[str]
    contexts: dict[str, list[Line]]


def table(scenario: Scenario) -> Table:
    """Every cell's best and recommended length, and how sure they are."""
    choices = scenario.choices()
    traced = any(row.get("speedup_trace_se") is not None for row in choices)
    beyond = set(scenario.grid.filter("extrapolated")["draft_length"])
    contexts: dict[str, list[Line]] = {}
    for row in choices:
        values = [] if row["at"] is None else list(_values(row, traced, beyond).values())
        line = Line(batch=f"{row['batch']:,}", values=values, drafts=bool(row["recommended"]))
        contexts.setdefault(f"{row['context_tokens']:,}", []).append(line)
    priced = next((row for row in choices if row["at"]), None)
    return Table(headings=list(_values(priced, traced, beyond)) if priced else [], contexts=contexts)


def _values(row: Row, traced: bool, beyond: set[int]) -> dict[str, str]:
    """Heading -> value, in the order of the columns."""

    def length(value: int) -> str:
        return f"{value}*" if value in beyond else str(value)

    speedup = f"{row['speedup']:.3f} ± {_twice(row['speedup_se'], row['speedup'])}"
    trace_error = {"± 2 trace se": _twice(row["speedup_trace_se"], row["speedup"])} if traced else {}
    planned = row["uniform_iid_draft_length"]
    regret = row["regret_uniform_iid"]
    return {
        "recommended": length(row["recommended"]),
        "best": length(row["best_draft_length"]),
        "near-best": ", ".join(map(length, row["near_best"] or [])),
        "speedup ±\N{NO-BREAK SPACE}2\N{NO-BREAK SPACE}se": speedup,
        **trace_error,
        "P(loss)": percent(row["p_loss"]),
        "P(best)": percent(row["p_best"]),
        "split-half noise": "–" if row["split_half_noise"] is None else f"{row['split_half_noise']:.2f}",
        "regret": "–" if regret is None else f"{percent(max(regret, 0), 2)} ({length(planned)})",
    }


def _twice(error: float | None, of: float) -> str:
    return "–" if error is None else f"{200 * error / of:.2g}\N{NO-BREAK SPACE}%"
