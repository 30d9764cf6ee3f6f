"""What a command prints when it is done: the answer, small tables, where the files are; in words, or as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from montecarlo.errors import InputError
from studies.results import Results

GAP = 2  # of a column to the next; rich counts it at the edges too
# Frames that are small enough to print; `compare` has no others.
KEPT = {"best", "changes", "gutters", "claims", "operating", "trades", "scores", "choices", "shares", "naive", "flips"}
KEPT |= {"worth", "gutter", "improvements"}


def refuse_both(as_json: bool, quiet: bool) -> None:
    """Raise InputError where both are asked for."""
    if as_json and quiet:
        raise InputError("--json and --quiet exclude each other")


def say(found: Results, folder: Path, *, as_json: bool, quiet: bool) -> None:
    """Print the answer in words, or as one JSON document, or nothing."""
    console = Console()
    if as_json:
        console.file.write(json.dumps(_document(found, folder), allow_nan=False) + "\n")
    elif not quiet:
        _show(found, folder, console)


def _show(found: Results, folder: Path, console: Console) -> None:
    from reports import page

    said = page.brief(found)
    for sentence in [*said.sentences, said.caveat]:
        console.print(plain(sentence), highlight=False, markup=False)
    for title, headings, rows in said.tables:
        console.print(f"\n{plain(title)}", style="bold", markup=False, highlight=False)
        for table in _tables(headings, rows, console.width):
            console.print(table)
    for note in dict.fromkeys(note for notes in found.notes.values() for note in notes):
        console.print(f"- {plain(note)}", style="dim", highlight=False, markup=False)
    files = [f"{folder / 'results.parquet'}", *(f"{name}.parquet" for name in found.frames if name != "results")]
    for what, where in (("Results", ", ".join(files)), ("Report", str(folder / "report.html"))):
        console.print(f"{what}: {where}", soft_wrap=True, highlight=False, markup=False)


def _tables(headings: list[str], rows: list[list[str]], width: int) -> Iterator[Table]:
    """The table, or where it is wider than the terminal, as many with the first column again as hold its columns."""
    columns = [
        [plain(cell) for cell in column]
        for column in (zip(headings, *rows, strict=True) if rows else ([heading] for heading in headings))
    ]
    # cells are never broken, headings only between words, and only where the table would be too wide
    whole = [max(map(cell_len, cells)) for cells in columns]
    needed = [max(map(cell_len, [*heading.split(), *cells])) for heading, *cells in columns]
    at = 1
    while at < len(columns):
        stop = at + 1
        while stop < len(columns) and _wide(needed, [0, *range(at, stop + 1)]) <= width:
            stop += 1
        shown = [0, *range(at, stop)]
        widths = whole if _wide(whole, shown) <= width else needed
        table = Table(box=None, pad_edge=False)
        for column in shown:
            heading, *cells = columns[column]
            in_words = column == 0 and any(cell[:1].isalpha() for cell in cells)
            table.add_column(
                Text(heading), justify="left" if in_words else "right", width=min(widths[column], width // 2)
            )
        for row in range(1, len(rows) + 1):
            table.add_row(*(Text(columns[column][row]) for column in shown))
        yield table
        at = stop


def _wide(widths: list[int], columns: list[int]) -> int:
    return sum(GAP + widths[column] for column in columns)


def plain(text: str) -> str:
    """The text without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _document(found: Results, folder: Path) -> dict[str, Any]:
    from reports import page

    said = page.brief(found)
    frames = {
        name: _finite(frame.to_dicts())
        for name, frame in found.frames.items()
        if name in KEPT or found.study == "compare"
    }
    return {"folder": str(folder), "answer": said.sentences, "caveat": said.caveat, **frames, "notes": found.notes}


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NaN and infinity as null: JSON has neither."""
    return [{key: None if isinstance(v, float) and v - v != 0 else v for key, v in row.items()} for row in rows]
