"""What would change the answer: how far each cell is from another choice.

A speedup is tokens per step over what a drafted step takes, in undrafted steps:

    speedup(k) = tokens_per_step(k) / (step_seconds(k) / step_seconds(0))

so drafting k ahead stops paying when its tokens per step fall by 1 - 1 / speedup(k), or its step takes speedup(k) - 1
longer than priced; and one static length for all batches loses max_b 1 - speedup_b(k) / max_j speedup_b(j).
"""

from dataclasses import dataclass
from itertools import groupby

import polars as pl

from reports.words import listed, percent, span


@dataclass(frozen=True)
class Cell:
    """One batch: the fastest length, the runner-up, and speedup and tokens per step by length."""

    batch: int
    speedup: dict[int, float]
    tokens: dict[int, float]

    @property
    def best(self) -> int:
        """The fastest length."""
        return max(self.speedup, key=lambda length: (self.speedup[length], -length))

    @property
    def drafting(self) -> int | None:
        """The fastest length above 0."""
        drafts = {length: speedup for length, speedup in self.speedup.items() if length}
        return max(drafts, key=drafts.__getitem__) if drafts else None

    @property
    def runner_up(self) -> tuple[int, float] | None:
        """The next fastest length above 0, and by how much of the best it is behind."""
        rest = {length: speedup for length, speedup in self.speedup.items() if length not in (0, self.best)}
        if not (self.best and rest):
            return None
        second = max(rest, key=rest.__getitem__)
        return second, 1 - rest[second] / self.speedup[self.best]

    def lost(self, length: int) -> float:
        """What a length loses of the best speedup."""
        return 1 - self.speedup[length] / self.speedup[self.best]


def cells(rows: pl.DataFrame) -> list[Cell]:
    """The batches of rows (columns batch, draft_length, speedup, tokens_per_step) of one context; unpriced ones out."""
    held: dict[int, Cell] = {}
    for row in rows.drop_nulls("speedup").sort("batch", "draft_length").iter_rows(named=True):
        cell = held.setdefault(row["batch"], Cell(row["batch"], {}, {}))
        cell.speedup[row["draft_length"]] = row["speedup"]
        cell.tokens[row["draft_length"]] = row["tokens_per_step"]
    return list(held.values())


def sentences(rows: pl.DataFrame) -> list[str]:
    """What would end the gain, start one, turn the length, and what one length for every batch loses."""
    found = cells(rows)
    return [said for say in (_ends, _starts, _turns, _static) if (said := say(found))]


def _ends(found: list[Cell]) -> str:
    paying = [cell for cell in found if cell.best]
    if not paying:
        return ""
    first, last = (pick(paying, key=lambda cell: cell.speedup[cell.best]) for pick in (min, max))
    said = f"Drafting goes on paying until tokens per step fall by {_fall(first)}"
    if last is not first:
        said += f" or, where it gains most, by {_fall(last)}"
    longer = dict.fromkeys(percent(cell.speedup[cell.best] - 1, 1) for cell in (first, last))
    return f"{said}; or until a drafted step takes {' or '.join(longer)} longer than priced."


def _fall(cell: Cell) -> str:
    tokens, speedup = cell.tokens[cell.best], cell.speedup[cell.best]
    return (
        f"{percent(1 - 1 / speedup, 1)} (batch {cell.batch:,}, {cell.best} ahead: from {tokens:.2f} to "
        f"{tokens / speedup:.2f})"
    )


def _starts(found: list[Cell]) -> str:
    shut = [(cell, cell.drafting) for cell in found if cell.best == 0 and cell.drafting is not None]
    if not shut:
        return ""
    cell, length = max(shut, key=lambda pair: pair[0].speedup[pair[1]])
    tokens, speedup = cell.tokens[length], cell.speedup[length]
    runs = [list(run) for closed, run in groupby(found, key=lambda one: one.best == 0) if closed]
    where = listed([span(run[0].batch, run[-1].batch) for run in runs])
    return (
        f"Where drafting does not pay (batch {where}), it would first at batch {cell.batch:,}, {length} ahead, with "
        f"{percent(1 / speedup - 1, 1)} more tokens per step ({tokens / speedup:.2f} instead of {tokens:.2f}), or a "
        f"step {percent(1 - speedup, 1)} shorter."
    )


def _turns(found: list[Cell]) -> str:
    close = sorted(((cell, *up) for cell in found if (up := cell.runner_up)), key=lambda one: one[2])[:3]
    named = [f"batch {cell.batch:,} ({second} is {_little(by)} behind {cell.best})" for cell, second, by in close]
    return f"The length itself turns first at {listed(named)}." if named else ""


def one_length(rows: pl.DataFrame) -> str:
    """The one length to set for every batch, as a sentence; empty where there are not several batches."""
    return _static(cells(rows))


def _little(share: float) -> str:
    return percent(share, 1) if share >= 0.0005 else "less than 0.1 %"


def _static(found: list[Cell]) -> str:
    lengths = max((set(cell.speedup) for cell in found), key=len, default=set())
    every = [cell for cell in found if set(cell.speedup) == lengths]  # large batches may hold short drafts only
    if len(every) < 2:
        return ""
    length = min(sorted(lengths), key=lambda at: max(cell.lost(at) for cell in every))
    lost, batch = max((cell.lost(length), cell.batch) for cell in every)
    return (
        f"If one length must serve every batch from {every[0].batch:,} to {every[-1].batch:,}, {length} loses least: "
        f"at most {percent(lost, 1)} of the best speedup (batch {batch:,})."
    )
