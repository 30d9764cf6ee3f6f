"""What the ablation shows: from the post's prices to the true model, step by step."""

from dataclasses import dataclass
from itertools import groupby, pairwise

import polars as pl

from reports.scenario import shown_context
from reports.words import gain, listed, span

NONE = "none"


@dataclass(frozen=True)
class Step:
    """One step: its gutter at each context in words, and where drafting pays most at the shown one."""

    number: int
    name: str
    change: str
    gutters: list[str]
    peak: str


def context(frame: pl.DataFrame) -> int:
    """The context shown."""
    return shown_context(frame["context_tokens"])


def here(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows at the shown context, by step and batch."""
    return frame.filter(context_tokens=context(frame)).sort("step", "batch")


def contexts(frame: pl.DataFrame) -> list[int]:
    """The contexts of the ablation, ascending."""
    return [int(value) for value in frame["context_tokens"].unique().sort()]


def edges(rows: pl.DataFrame) -> list[tuple[int, int]]:
    """First and last batch of every gutter in rows of one step and context."""
    ordered = rows.sort("batch").select("batch", "in_gutter").rows()
    runs = [[batch for batch, _ in run] for inside, run in groupby(ordered, key=lambda row: row[1]) if inside]
    return [(run[0], run[-1]) for run in runs]


def gutter(rows: pl.DataFrame) -> str:
    """The gutters of one step and context in words."""
    found = edges(rows)
    return listed([span(*pair) for pair in found]) if found else NONE


def steps(frame: pl.DataFrame) -> list[Step]:
    """The steps in order."""
    found = []
    for (number,), rows in frame.sort("step").group_by("step", maintain_order=True):
        top = here(rows).sort("speedup", descending=True, maintain_order=True)
        most = top.row(0, named=True)
        found.append(
            Step(
                int(str(number)),
                rows["name"][0],
                rows["change"][0],
                [gutter(rows.filter(context_tokens=value)) for value in contexts(frame)],
                f"{gain(most['speedup'])} at batch {most['batch']:,}",
            )
        )
    return found


def title(frame: pl.DataFrame) -> str:
    """What becomes of the gutter."""
    along = _along(frame)
    first, last = along[0][1], along[-1][1]
    if first == NONE:
        return f"The gutter, none at first, ends as {last}"
    end = "to none" if last == NONE else f"to batch {last}"
    return f"The gutter goes from batch {first} {end}"


def sentence(frame: pl.DataFrame) -> str:
    """Every step that moves the gutter at the shown context, and what all of them do to the gain."""
    along = _along(frame)
    moves = [
        f"{name} ({'gone' if now == NONE else now})" for (_, before), (name, now) in pairwise(along) if now != before
    ]
    said = f"At {context(frame):,} tokens of context the gutter is batch {along[0][1]} with {along[0][0]}"
    if along[0][1] == NONE:
        said = f"At {context(frame):,} tokens of context there is no gutter with {along[0][0]}"
    moved = f"; what moves it: {listed(moves)}" if moves else "; no step moves it"
    found = steps(frame)
    return f"{said}{moved}. The most that drafting gains goes from {found[0].peak} to {found[-1].peak}."


def _along(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """(name, gutter in words) of each step at the shown context."""
    groups = here(frame).group_by("step", maintain_order=True)
    return [(str(rows["name"][0]), gutter(rows)) for _, rows in groups]
