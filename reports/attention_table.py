"""FLOP per byte of every kind of attention layer by context and window, as a table of words."""

from dataclasses import dataclass
from itertools import groupby

import polars as pl

from reports.words import span


@dataclass(frozen=True)
class Cell:
    """An intensity, and whether it is at or past the ridge."""

    value: str
    bound: bool


@dataclass(frozen=True)
class Kind:
    """One kind of layer: what it is, its ridge, and a row per context with a cell per window; rows alike are one."""

    title: str
    windows: list[int]
    rows: list[tuple[str, list[Cell]]]


def kinds(attention: pl.DataFrame) -> list[Kind]:
    """The kinds of one scenario in the order of its layers."""
    found = []
    for (layers, kind, part), rows in attention.group_by("layers", "kind", "part", maintain_order=True):
        windows = rows["queries"].unique().sort().to_list()
        lines = []
        for (context,), line in rows.sort("context_tokens", "queries").group_by("context_tokens", maintain_order=True):
            cells = [Cell(f"{row['intensity']:,.0f}", row["compute_bound"]) for row in line.iter_rows(named=True)]
            lines.append((int(str(context)), cells))
        alike = [(list(same), cells) for cells, same in groupby(lines, key=lambda line: line[1])]
        spans = [(span(same[0][0], same[-1][0]), cells) for same, cells in alike]
        named = f"{kind}, {part}" if part != "core" else str(kind)
        plural = "layer" if layers == 1 else "layers"
        found.append(Kind(f"{layers} {plural}: {named}; ridge {rows['ridge'][0]:,.5g} FLOP per byte", windows, spans))
    return found
