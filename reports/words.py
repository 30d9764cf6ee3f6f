"""Numbers as phrases, and the answer in words. No number here is written by hand: each is looked up."""

from collections.abc import Sequence
from itertools import groupby

import polars as pl

from reports.scenario import Row, Scenario, split
from studies.results import Results

DRAWN_CAVEAT = (
    "are of traffic and of what an engine achieves and adds, drawn from priors; calibrate the prices with one run "
    "of your engine to narrow them."
)
OWN_CAVEAT = "are of traffic and of what an engine achieves and adds, drawn from a prices file ({})."
ROOFLINE_CAVEAT = (
    "are of traffic only, at roofline prices. Where it was measured, on gpt-oss-120b with one H200, real gains were "
    "larger at batch 1 and several times smaller at large batch."
)

EXACT_CAVEAT = (
    "All of this is in closed form: distinct experts are counted on average, what an engine achieves and adds stands "
    "at its median (prices ideal and post leave it out) and no traffic is drawn, so there are no odds here; "
    "optimal-k draws both."
)


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage: 0.17 -> 17 %."""
    return f"{_number(100 * share, digits)} %"


def gain(speedup: float, digits: int = 0) -> str:
    """A speedup as a signed percentage: 1.17 -> +17 %."""
    return f"{_signed(speedup, digits)} %"


def span(first: int, last: int) -> str:
    """A range of whole numbers: 4, or 1 to 4."""
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def listed(items: Sequence[str]) -> str:
    """The items with commas, and an "and" before the last."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def answer(results: Results) -> list[str]:
    """The answer in words, one entry per scenario, at the context each scenario is shown at."""
    return [
        f"{scenario.subject}: {verdict(scenario)} {moved(scenario.best, scenario.context)}".rstrip()
        for scenario in split(results)
    ]


def caveat(results: Results) -> str:
    """What the odds are of, by scenario where they differ."""
    scenarios = split(results)
    said = []
    words_of = [_odds_of(scenario) for scenario in scenarios]
    for words in dict.fromkeys(words_of):
        named = [scenario.name for scenario, its in zip(scenarios, words_of, strict=True) if its == words]
        whose = "These odds" if len(named) == len(scenarios) else f"The odds of {listed(named)}" if named else ""
        said += [f"{whose} {words}"] if named else []
    return " ".join(said)


def _odds_of(scenario: Scenario) -> str:
    """What the odds of a scenario are of, in words."""
    prices = str(scenario.grid["prices"][0])
    if not scenario.drawn:
        return ROOFLINE_CAVEAT
    return DRAWN_CAVEAT if prices == "achieved" else OWN_CAVEAT.format(prices)


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
    return said + (_undecided(rows) or _odds(rows)) + _extrapolated(rows)


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
    return f" P(loss) is at most {percent(share)} (batch {worst['batch']:,})." if share else " P(loss) is 0."


def _gains(cells: list[Row], explained: bool) -> str:
    """The gain at the recommended length over a group of batches, and where 90 % of worlds lie.

    Over several batches the interval is the envelope, so at each of them it holds at least 90 % of worlds.
    """
    speedups = [cell["at"]["speedup"] for cell in cells]
    low = min(cell["at"]["speedup_p05"] for cell in cells)
    high = max(cell["at"]["speedup_p95"] for cell in cells)
    digits = 0 if high - low >= 0.02 else 1
    least, most = _signed(min(speedups), digits), _signed(max(speedups), digits)
    said = f"{most} %" if least == most else f"{least} to {most} %"
    bounds = _signed(low, digits), _signed(high, digits)
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


def _signed(speedup: float, digits: int) -> str:
    value = round(100 * (speedup - 1), digits)
    return "0" if value == 0 else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
