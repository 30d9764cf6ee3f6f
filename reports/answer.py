"""The answer of `optimal-k` in words: how far to draft at which batch, how sure, and what prices changed."""

from itertools import groupby

import polars as pl

from reports import change
from reports.scenario import Row, Scenario, split
from reports.words import gain, listed, percent, signed, span
from studies.results import Results


def answer(results: Results) -> list[str]:
    """The answer in words, one entry per scenario, at the context each scenario is shown at."""
    return [
        " ".join(filter(None, (f"{one.subject}: {verdict(one)}", _one(one), moved(one.best, one.context))))
        for one in split(results)
    ]


def _one(scenario: Scenario) -> str:
    return change.one_length(scenario.grid.filter(context_tokens=scenario.context))


def verdict(scenario: Scenario) -> str:
    """How far to draft at which batch, and how sure that is; "none" where drafting does not pay."""
    if scenario.priced.is_empty():
        return "nothing fits in memory, at any batch studied."
    if scenario.drafts.is_empty():
        return "no draft length above 0 was studied, so whether drafting pays is not known."
    rows = [row for row in scenario.choices() if row["context_tokens"] == scenario.context]
    parts: list[str] = []
    shut: list[str] = []
    explained = False
    for length, group in groupby(rows, key=_recommended):
        cells = list(group)
        batches = span(cells[0]["batch"], cells[-1]["batch"])
        if length is None:
            shut.append(batches)
        elif length == 0:
            parts.append(f"none at batch {batches}" if parts else f"do not draft at batch {batches}")
        else:
            verb = "" if explained else "draft "
            parts.append(f"{verb}{length} ahead at batch {batches} ({_gains(cells, explained)})")
            explained = True
    said = f"{', '.join(parts)}."
    if not explained:
        peak = scenario.peak()
        said += (
            f" Drafting reaches {gain(peak['speedup'], 1)} at best: {peak['draft_length']} ahead"
            f" at batch {peak['batch']}."
        )
    if shut:
        said += f" Batch {listed(shut)} does not fit in memory."
    return said + (_undecided(rows) or _odds(rows)) + _longest(scenario, rows) + _served(rows) + _extrapolated(rows)


def moved(best: pl.DataFrame, context: int) -> str:
    """What achieved prices changed against rooflines at one context; empty where there is nothing to compare."""
    rows = best.filter(context_tokens=context).drop_nulls("ideal_draft_length").sort("batch").to_dicts()
    if not any(row["ideal_draft_length"] or row["recommended"] for row in rows):
        return ""
    first, last, worst = rows[0], rows[-1], max(rows, key=lambda row: float(row["regret_ideal"]))
    seems, found = (
        f"{row_length or 'nothing'} ({gain(speedup)})"
        for row_length, speedup in (
            (first["ideal_draft_length"], first["ideal_speedup"]),
            (first["recommended"], first.get("recommended_speedup", first["speedup"])),
        )
    )
    said = f"Rooflines alone would draft {seems} at batch {first['batch']:,}; with what an engine adds it is {found}"
    if worst["regret_ideal"] > 0:
        said += f". Their lengths lose up to {percent(worst['regret_ideal'], 1)} (batch {worst['batch']:,})"
    return (
        f"{said}; at batch {last['batch']:,} they promise {gain(last['ideal_speedup'])} where {gain(last['speedup'])} "
        "is expected."
    )


def _undecided(rows: list[Row]) -> str:
    """Where not drafting is within two standard errors of the best length, though drafting is recommended."""
    cells = [row for row in rows if row["recommended"] and 0 in row["near_best"]]
    if not cells:
        return ""
    where = listed([f"{cell['batch']:,}" for cell in cells])
    worst = max(float(cell["at"]["p_loss"]) for cell in cells)
    return f" At batch {where} these worlds cannot tell it from not drafting (P(loss) up to {percent(worst)})."


def _odds(rows: list[Row]) -> str:
    """The largest P(loss) of a recommended length above 0; empty where there is but one world or none drafts."""
    cells = [row for row in rows if row["recommended"] and row["at"]["worlds"] > 1]
    if not cells:
        return ""
    worst = max(cells, key=lambda cell: float(cell["at"]["p_loss"]))
    share = float(worst["at"]["p_loss"])
    at_most = f"at most {percent(share)} (batch {worst['batch']:,})" if share else "0 in these worlds"
    return f" P(loss) is {at_most}."


def _longest(scenario: Scenario, rows: list[Row]) -> str:
    """Where the longest length studied is the best: a longer one might be better."""
    longest = max(scenario.grid["draft_length"])
    cells = [row for row in rows if row["recommended"] and row["best_draft_length"] == longest]
    if not cells:
        return ""
    where = listed([f"{cell['batch']:,}" for cell in cells])
    return f" At batch {where} the best length is the longest studied: study longer ones (draft_length)."


def _served(rows: list[Row]) -> str:
    """The gain in throughput, prompts prefilled, where prompts were given."""
    gains = [row["at"].get("throughput_speedup") for row in rows if row["recommended"] and row["at"]]
    known = [float(gain) for gain in gains if gain is not None]
    if not known:
        return ""
    least, most = signed(min(known), 0), signed(max(known), 0)
    return f" In throughput, prompts included, that is {least if least == most else f'{least} to {most}'} %."


def _gains(cells: list[Row], explained: bool) -> str:
    """The gain at the recommended length over a group of batches, and where 90 % of worlds lie.

    Over several batches the interval is the envelope, so at each of them it holds at least 90 % of worlds.
    """
    speedups = [cell["at"]["speedup"] for cell in cells]
    low = min(cell["at"]["speedup_p05"] for cell in cells)
    high = max(cell["at"]["speedup_p95"] for cell in cells)
    digits = 0 if high - low >= 0.02 else 1
    least, most = signed(min(speedups), digits), signed(max(speedups), digits)
    said = f"{most} %" if least == most else f"{least} to {most} %"
    bounds = signed(low, digits), signed(high, digits)
    if cells[0]["at"]["worlds"] < 2 or set(bounds) == {most}:
        return said
    worlds = "between" if explained else "90 % of worlds between"
    return f"{said}, {worlds} {bounds[0]} and {bounds[1]} %"


def _extrapolated(rows: list[Row]) -> str:
    lengths = sorted({row["recommended"] for row in rows if row["at"] and row["at"]["extrapolated"]})
    if not lengths:
        return ""
    named = f"Length {lengths[0]} reaches" if len(lengths) == 1 else f"Lengths {listed([*map(str, lengths)])} reach"
    return f" {named} past the measured depths: acceptance there is extrapolated."


def _recommended(row: Row) -> int | None:
    length: int | None = row["recommended"]
    return length
