"""The claims as a list to tick off: what is stated, what was computed, and whether it holds."""

import re
from dataclasses import dataclass

import polars as pl

SIGNS = {"<=": "≤", ">=": "≥"}
LARGE = 1e6  # from here on six digits would take an exponent


@dataclass(frozen=True)
class Tick:
    """One claim in words."""

    id: str
    statement: str
    quantity: str
    claimed: str
    computed: str
    needs: str
    holds: bool
    reason: str

    @property
    def verdict(self) -> str:
        """Whether it holds, as a word and a mark."""
        return "✓\N{NO-BREAK SPACE}holds" if self.holds else "✗\N{NO-BREAK SPACE}does not\N{NO-BREAK SPACE}hold"


@dataclass(frozen=True)
class Section:
    """The claims of one part of the post, of its audit or of the discussion, and how many hold."""

    title: str
    ticks: list[Tick]

    @property
    def held(self) -> int:
        """How many hold."""
        return sum(tick.holds for tick in self.ticks)


def sections(frame: pl.DataFrame) -> list[Section]:
    """The sections in the order of the frame."""
    return [
        Section(f"{str(name)[:1].upper()}{str(name)[1:]}", [_tick(row) for row in rows.iter_rows(named=True)])
        for (name,), rows in frame.group_by("section", maintain_order=True)
    ]


def counts(frame: pl.DataFrame) -> str:
    """How many hold of how many."""
    return f"{frame['holds'].sum()} of {frame.height} hold"


def broken(frame: pl.DataFrame) -> list[Tick]:
    """The claims that do not hold."""
    return [_tick(row) for row in frame.filter(~pl.col("holds")).iter_rows(named=True)]


def number(value: float | None, unit: str = "") -> str:
    """A value to six digits, a large one in full, with its unit; a dash where there is none."""
    if value is None:
        return "–"
    plain = f"{value:,.0f}" if abs(value) >= LARGE else f"{value:,.6g}"
    plain = plain.replace("-", "\N{MINUS SIGN}")
    return f"{plain} {unit}" if unit else plain


def needed(predicate: str) -> str:
    """The predicate without its subject, a tolerance to two digits: within 0.044 % of 1.171."""
    said = predicate.removeprefix("computed ").removeprefix("= ")
    said = re.sub(r"^within (\S+) %", lambda found: f"within {float(found[1]):.2g} %", said)
    said = re.sub(r"\S+$", lambda found: number(float(found[0])), said)
    for plain, sign in SIGNS.items():
        said = said.replace(plain, sign)
    return said


def _tick(row: dict[str, object]) -> Tick:
    unit = str(row["unit"])
    claimed, computed = row["value_claimed"], row["value_computed"]
    return Tick(
        id=str(row["id"]),
        statement=str(row["statement"]),
        quantity=str(row["quantity"]),
        claimed=number(None if claimed is None else float(str(claimed))),
        computed=number(float(str(computed)), unit),
        needs=needed(str(row["predicate"])),
        holds=bool(row["holds"]),
        reason=str(row["reason"]),
    )
