"""One scenario's share of the results: the piece every figure and every sentence is about."""

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from studies.results import Results

PLACE = ["context_tokens", "batch"]
USUAL_CONTEXT = 4096

Row = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """The frames of one scenario, sorted by context, batch and draft length.

    slug: a file name for it, unique in the results.
    """

    name: str
    slug: str
    grid: pl.DataFrame
    best: pl.DataFrame
    changes: pl.DataFrame
    notes: list[str]

    @property
    def priced(self) -> pl.DataFrame:
        """The rows of the grid that fit in memory and so have a price."""
        return self.grid.filter(pl.col("speedup").is_not_null())

    @property
    def drafts(self) -> pl.DataFrame:
        """The priced rows that draft at all."""
        return self.priced.filter(pl.col("draft_length") > 0)

    @property
    def context(self) -> int:
        """The context shown where only one can be: 4,096 tokens if priced, else the smallest priced."""
        return shown_context((self.priced if self.priced.height else self.grid)["context_tokens"])

    @property
    def drafter(self) -> str:
        """The drafter in words."""
        return drafter_in_words(str(self.grid["drafter"][0] or ""))

    @property
    def drawn(self) -> bool:
        """Whether worlds differ in the terms of prices too, and not in traffic alone."""
        return str(self.grid["prices"][0]) not in ("ideal", "post")

    @property
    def calibrated(self) -> bool:
        """Whether prices come from a file of the user's."""
        return self.drawn and str(self.grid["prices"][0]) != "achieved"

    @property
    def subject(self) -> str:
        """What the scenario is about, in words: its name, drafter and shown context."""
        return subject(self.name, self.drafter, self.context)

    def choices(self) -> list[Row]:
        """One row per batch x context: the columns of `best`, and the grid rows `at` of the recommended length
        and `at_best` of the best one.

        Where a cell does not fit in memory, `recommended`, `at` and `at_best` are None.
        """
        key = [*PLACE, "draft_length"]
        grid = {tuple(row[name] for name in key): row for row in self.grid.iter_rows(named=True)}
        best = {tuple(row[name] for name in PLACE): row for row in self.best.iter_rows(named=True)}
        rows = []
        for place in self.grid.select(PLACE).unique().sort(PLACE).iter_rows():
            row = best.get(place) or dict(zip(PLACE, place, strict=True))
            at = grid.get((*place, row.get("recommended")))
            at_best = grid.get((*place, row.get("best_draft_length")))
            rows.append({"recommended": None} | row | {"at": at, "at_best": at_best})
        return rows

    def best_drafts(self) -> list[Row]:
        """The grid row of the fastest draft length above 0, one per batch x context that fits."""
        return fastest(self.grid).to_dicts()

    @property
    def uniform(self) -> bool:
        """Whether routing itself is uniform, so that there is nothing to hold against it."""
        return self.grid["routing"][0] == "uniform"

    def experts(self) -> pl.DataFrame:
        """The rows of the shown context with distinct experts, and the `ratio` of uniform to simulated."""
        here = pl.col("distinct_experts").is_not_null() & (pl.col("context_tokens") == self.context)
        return self.grid.filter(here).with_columns(
            ratio=pl.col("distinct_experts_uniform") / pl.col("distinct_experts")
        )

    def peak(self) -> Row:
        """The grid row of the fastest draft length above 0 in the shown context; `drafts` must have rows."""
        return max((row for row in self.best_drafts() if row["context_tokens"] == self.context), key=_speedup)


def fastest(grid: pl.DataFrame) -> pl.DataFrame:
    """The row of the fastest draft length above 0 of every batch and context."""
    drafts = grid.drop_nulls("speedup").filter(pl.col("draft_length") > 0)
    ranked = drafts.sort([*PLACE, "speedup"], descending=[False, False, True], maintain_order=True)
    return ranked.group_by(PLACE, maintain_order=True).first()


def _speedup(row: Row) -> float:
    return float(row["speedup"])


def shown_context(contexts: pl.Series) -> int:
    """The context shown where only one can be: 4,096 tokens if it is there, else the smallest."""
    return USUAL_CONTEXT if USUAL_CONTEXT in contexts else int(str(contexts.min()))


def drafter_in_words(name: str) -> str:
    """The id of a drafter as a phrase."""
    kind, _, cost = name.partition(":")
    if kind == "free":
        return "a free drafter"
    if kind == "fraction" and cost:
        return f"a drafter that costs {cost} of a target step per draft"
    if kind == "block" and "x" in cost:
        layers, _, tokens = cost.partition("x")
        return f"a block drafter of {layers} layers and {tokens} tokens"
    return name


def subject(name: str, drafter: str, context: int) -> str:
    """A scenario's name, drafter and shown context; the drafter only where the name does not say it."""
    named = not drafter or drafter.lower() in name.lower()
    return f"{name}{'' if named else f' with {drafter}'} at {context:,} tokens of context"


def split(results: Results) -> list[Scenario]:
    """The scenarios of the results, in the order they were studied."""
    names = results["results"]["scenario"].unique(maintain_order=True).to_list()
    return [
        Scenario(
            name=name,
            slug=slug,
            grid=_of(results["results"], name).sort([*PLACE, "draft_length"]),
            best=_of(results["best"], name).sort(PLACE),
            changes=_of(results["changes"], name).sort(["context_tokens", "batch_below"]),
            notes=results.notes.get(name, []),
        )
        for name, slug in zip(names, slugs(names), strict=True)
    ]


def _of(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.filter(pl.col("scenario") == name)


def slugs(names: list[str]) -> list[str]:
    """A short file name for each name; those that collide are told apart by a number."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "scenario"
        candidates = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(names) + 1))
        found.append(next(slug for slug in candidates if slug not in found))
    return found
