"""`draftodds trace describe`: tidy Parquet, figures, a page, and a screenful, of one trace folder."""

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from montecarlo.errors import InputError
from traces.describe import describe
from traces.store import Trace

MANIFEST = "manifest.json"
ROWS = 16  # of a table on the screen


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trace folder.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write (default: DIR/describe).")] = None,
) -> None:
    """Say what a trace holds: load, overlap, distinct experts, ranks; acceptance by depth and its spread."""
    place = out or folder / "describe"
    digest = Trace.open(folder).digest
    earlier = _replaceable(place)
    err = Console(stderr=True)
    with Progress(
        TextColumn("describing"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bar:
        shown = bar.add_task("describing", total=None)
        frames = describe(folder, lambda done, total: bar.update(shown, completed=done, total=total))
    _write(place, frames, digest)
    _show(place, earlier)


def _replaceable(place: Path) -> int:
    """The number of files of an earlier description in `place`; raises InputError where it holds anything else."""
    if not os.path.lexists(place):
        return 0
    if not place.is_dir():
        raise InputError(f"{place} is no folder and is left as it is; choose another with --out")
    held = {path.relative_to(place).as_posix() for path in place.rglob("*") if not path.is_dir()}
    try:
        listed = set(json.loads((place / MANIFEST).read_text("utf-8"))["describes"]["files"])
    except (OSError, ValueError, KeyError, TypeError):
        listed = set()
    others = sorted(held - listed - ({MANIFEST} if listed else set()))
    if others:
        raise InputError(
            f"{place} holds {len(others)} files that are of no description (first: {others[0]}) and is left as it is; "
            "choose another with --out"
        )
    return len(held)


def _write(place: Path, frames: dict[str, pl.DataFrame], digest: str) -> None:
    """Write everything beside `place` and move it there at once, for what was there before."""
    from reports import trace as report

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            new.mkdir()
            for name, frame in frames.items():
                frame.write_parquet(new / f"{name}.parquet", metadata={"draftodds": json.dumps({"trace": digest})})
            files = [*(f"{name}.parquet" for name in frames), *report.render(new)]
            said = {"describes": {"trace": digest, "files": sorted(files)}}
            (new / MANIFEST).write_text(json.dumps(said, indent=1) + "\n", "utf-8")
            if place.exists():
                os.replace(place, old)
            os.replace(new, place)
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror or error}") from error


def _show(place: Path, earlier: int) -> None:
    from reports import trace as report

    console = Console()
    said = report.brief(place)
    for sentence in said.sentences:
        console.print(sentence, highlight=False, markup=False)
    for title, headings, rows in said.tables:
        console.print(f"\n{title}", style="bold", markup=False, highlight=False)
        table = Table(box=None, pad_edge=False)
        for heading in headings:
            table.add_column(Text(heading), justify="right")
        for row in rows[:ROWS]:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        if len(rows) > ROWS:
            console.print(f"and {len(rows) - ROWS} more rows in the report", style="dim", highlight=False)
    console.print(f"\n{said.caveat}".rstrip(), style="dim", highlight=False, markup=False)
    if earlier:
        console.print(f"Replaced an earlier description: {earlier} files.", highlight=False)
    console.print(f"Report: {place / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
