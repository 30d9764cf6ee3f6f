"""compare: runs of one study side by side, each against the first, the baseline.

    difference = speedup of the run - speedup of the baseline        same batch and context

at the length that each recommends, and at every draft length both studied. Errors are paired over worlds that both
drew (studies/pairing.py), independent where there are none, and none where the study draws nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import polars as pl

from montecarlo.errors import InputError
from studies import outcomes, pairing, runs
from studies.compare_columns import FILES
from studies.config import EXACT
from studies.pairing import Worlds
from studies.results import Results
from studies.runs import Run

Row = dict[str, Any]
Place = tuple[int, int]  # batch, context
UNRATED = ("sensitivity", "stress")  # studies whose results hold no tokens per second


@dataclass(frozen=True)
class Side:
    """One scenario of one run, by their names: choices by place, cells by place and draft length, worlds if kept."""

    run: Run
    name: str
    scenario: str
    chosen: dict[Place, Row]
    grid: dict[tuple[int, int, int], Row]
    worlds: Worlds | None
    missing: str  # why there are no worlds, where there should be some

    @classmethod
    def of(cls, run: Run, index: int, name: str) -> "Side":
        """Scenario `index` of a run that is called `name`."""
        scenario = run.asked.scenario[index].name
        chosen, grid = (frame.filter(scenario=scenario) for frame in outcomes.frames(run.results))
        worlds, missing = None, ""
        if run.results.study == "optimal-k":
            try:
                worlds = pairing.remade(run, index)
            except InputError as error:
                missing = str(error)
        return cls(
            run,
            name,
            scenario,
            {(row["batch"], row["context_tokens"]): row for row in chosen.iter_rows(named=True)},
            {(row["batch"], row["context_tokens"], row["draft_length"]): row for row in grid.iter_rows(named=True)},
            worlds,
            missing,
        )


def compare(given: Sequence[Run]) -> Results:
    """The comparison as results of a study of its own, `compare`."""
    study, scenarios = given[0].results.study, runs.shared(given)
    called = runs.names(given, scenarios)
    rows: dict[str, list[Row]] = {name: [] for name in FILES}
    notes: dict[str, list[str]] = {}
    for each in scenarios:
        sides = [Side.of(run, index, name) for run, index, name in zip(given, each, called, strict=True)]
        scenario = given[0].asked.scenario[each[0]].name
        places = [place for place in sides[0].chosen if all(place in side.chosen for side in sides)]
        if not places:
            raise InputError(
                f"no batch and context of {scenario!r} has a price in all of "
                f"{', '.join(str(run.folder) for run in given)}; run them with the same batch and context_tokens"
            )
        said = list(_left_out(sides))
        for side in sides:
            common, why = (None, "") if side is sides[0] else _common(sides[0], side)
            said += [f"{side.name} against {sides[0].name}: {why}"] if why else []
            rows["results"] += [row | {"scenario": scenario} for row in _chosen(sides[0], side, places, common)]
            if side is not sides[0]:
                rows["lengths"] += [row | {"scenario": scenario} for row in _lengths(sides[0], side, places, common)]
            for name in ("gutters", "operating"):
                rows[name] += _own(side, name, scenario)
        notes[scenario] = said
    rows["differs"], about = _differs(given, scenarios, called)
    if about:
        notes["All scenarios"] = about
    frames = {
        name: pl.DataFrame([{column: row.get(column) for column in schema} for row in rows[name]], schema=schema)
        for name, schema in FILES.items()
    }
    folders = [str(run.folder) for run in given]
    return Results("compare", frames, notes, {"study": study, "runs": called, "folders": folders})


def _common(first: Side, side: Side) -> tuple[int | None, str]:
    """How many worlds both drew (None: nothing is drawn), and in words how errors are made of them."""
    study = side.run.results.study
    if study in EXACT:
        return None, ""
    if study != "optimal-k":
        return 0, f"errors are as of independent runs, as {study} keeps no worlds; too wide where draws are shared."
    why = first.missing or side.missing or pairing.apart(first.run, side.run)
    if why:
        return 0, f"worlds are not paired, as {why}; errors are as of independent runs."
    assert first.worlds is not None
    assert side.worlds is not None
    drawn = len(first.worlds.cells.drafted), len(side.worlds.cells.drafted)
    alone = f" of {drawn[0]} and {drawn[1]}, the others their own" if drawn[0] != drawn[1] else ""
    apart = first.run.asked.trace_sha256 != side.run.asked.trace_sha256
    shared = ", which share the terms of the engine and not the texts" if apart else ""
    return min(drawn), f"errors are paired over {min(drawn)} worlds that both drew{alone}{shared}."


def _against(first: Side, side: Side, place: Place, lengths: tuple[int, int], common: int | None) -> Row:
    """The difference of one place at the draft lengths of the two; columns: studies/compare_columns.py."""
    one, other = first.grid[(*place, lengths[0])], side.grid[(*place, lengths[1])]
    rates = one["tokens_per_second_device"], other["tokens_per_second_device"]
    found: Row = {"speedup_difference": other["speedup"] - one["speedup"]}
    if None not in rates:
        found["device_ratio"] = rates[1] / rates[0]
    if common is None:
        return found
    if first.worlds is not None and side.worlds is not None:
        traces = first.run.asked.trace_sha256, side.run.asked.trace_sha256
        cells = first.worlds.at(*place, lengths[0]), side.worlds.at(*place, lengths[1])
        return found | pairing.errors(*cells, common, same_trace=traces[0] == traces[1])
    for error in ("speedup_se", "speedup_trace_se"):
        known = [row[error] for row in (one, other) if row[error] is not None]
        found[error.replace("speedup", "speedup_difference")] = hypot(*known) if known else None
    return found


def _chosen(first: Side, side: Side, places: Sequence[Place], common: int | None) -> Iterator[Row]:
    for place in places:
        chosen, base = side.chosen[place], first.chosen[place]
        row = {"run": side.name, "baseline": side is first, "batch": place[0], "context_tokens": place[1]}
        row |= chosen | side.grid[(*place, chosen["recommended"])] | {"common_worlds": common}
        if side is not first:
            row |= _against(first, side, place, (base["recommended"], chosen["recommended"]), common)
            at = first.grid[(*place, base["recommended"])]
            if row.get("device_ratio") is not None:
                row["undrafted_ratio"] = row["device_ratio"] / (row["speedup"] / at["speedup"])
        yield row


def _lengths(first: Side, side: Side, places: Sequence[Place], common: int | None) -> Iterator[Row]:
    compared = set(places)
    for batch, context, length in side.grid:
        if (batch, context) in compared and (batch, context, length) in first.grid:
            place = {"batch": batch, "context_tokens": context, "draft_length": length}
            speedups = [one.grid[batch, context, length]["speedup"] for one in (side, first)]
            said = {"run": side.name, "speedup": speedups[0], "baseline_speedup": speedups[1]}
            yield place | said | _against(first, side, (batch, context), (length, length), common)


def _own(side: Side, name: str, scenario: str) -> list[Row]:
    """The rows of a frame that a study has of its own, of the scenario's own acceptance."""
    if name not in side.run.results.frames:
        return []
    mine = side.run.results[name].filter(scenario=side.scenario)
    if name == "gutters":
        mine = mine.filter(~pl.col("acceptance").str.starts_with("alpha "))
    return [row | {"scenario": scenario, "run": side.name} for row in mine.iter_rows(named=True)]


def _left_out(sides: Sequence[Side]) -> Iterator[str]:
    """A sentence for each run that lacks batches and contexts which another has."""
    every = {place for side in sides for place in side.chosen}
    for side in sides:
        parts = []
        for context in sorted({context for _, context in every}):
            there = {batch for batch, at in every if at == context}
            lacking = sorted(batch for batch in there if (batch, context) not in side.chosen)
            some = ", ".join(f"{batch:,}" for batch in lacking[:8]) + (", ..." if len(lacking) > 8 else "")
            which = "all" if len(lacking) == len(there) else f"batch {some}"
            parts += [f"{which} at {context:,} tokens of context"] if lacking else []
        if parts:
            yield f"Left out, as not in {side.name} (not studied, or not in memory): {'; '.join(parts)}."


def _differs(
    given: Sequence[Run], scenarios: Sequence[tuple[int, ...]], called: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """Rows of the keys that differ, and sentences on all runs."""
    rows: list[Row] = []
    notes = []
    for at, run in enumerate(given[1:], 1):
        found = runs.differing(given[0], run, [(each[0], each[at]) for each in scenarios])
        for difference in found:
            place = None if difference.scenario is None else scenarios[difference.scenario][0]
            scenario = None if place is None else given[0].asked.scenario[place].name
            values = {"key": difference.key, "baseline_value": difference.baseline, "value": difference.value}
            rows.append({"scenario": scenario, "run": called[at]} | values)
        if run.results.meta.get("versions") != given[0].results.meta.get("versions"):
            notes.append(f"{called[at]} and {called[0]} were run with different versions.")
        elif not found and run.digest == given[0].digest:
            notes.append(f"{called[at]} and {called[0]} are the same run: same configuration, same results.")
        elif not found:
            notes.append(
                f"{called[at]} and {called[0]} were asked for the same, yet their results differ: files that "
                "study.toml names had other contents."
            )
        if runs.deployments_differ(found):
            study = given[0].results.study
            instead = f"{study} has no tokens per second" if study in UNRATED else "compare their tokens per second"
            notes.append(f"What {called[at]} and {called[0]} do without drafts is not the same step; {instead}.")
    for index, run in enumerate(given):
        mine = {each[index] for each in scenarios}
        left = [one.name for at, one in enumerate(run.asked.scenario) if at not in mine]
        if left:
            notes.append(f"Scenarios of {called[index]} left out, as not in every run: {', '.join(left)}.")
    return rows, notes
