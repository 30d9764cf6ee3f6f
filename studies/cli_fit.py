"""`draftodds trace fit`: a process fitted to a trace folder, as a profile that studies take."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from montecarlo.errors import InputError
from studies.results import write_atomically
from traces.fitted import Fitted, Row, chosen
from traces.store import Trace

ROWS = 24  # of a table on the screen
RELATIVE = ("error", "worst_layer", "popularity", "uniform")  # but differences for overlap


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trace folder.")],
    out: Annotated[Path, typer.Option(metavar="P.toml", help="The profile to write.")],
    what: Annotated[str | None, typer.Option(metavar="WHAT", help="routing or acceptance, if DIR holds both.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and its tables as JSON.")] = False,
) -> None:
    """Fit a process to a trace: estimates with errors, held-out requests, and what other draft lengths leave open."""
    free(out)
    trace = Trace.open(folder)
    kind = chosen(trace, what)
    from traces import fitted_acceptance, fitted_routing

    err = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=as_json or not err.is_terminal,
    ) as bar:
        shown = bar.add_task("reading", total=None)

        def progress(doing: str, done: int, total: int) -> None:
            bar.update(shown, description=doing, completed=done, total=total or None)

        fit = fitted_routing.fitted if kind == "routing" else fitted_acceptance.fitted
        found = fit(trace, out.stem, progress)

    def write(path: Path) -> None:
        path.write_text(found.profile, "utf-8")

    free(out)
    try:
        write_atomically(out, write)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    if as_json:
        Console().file.write(json.dumps(_document(found, out, kind), allow_nan=False) + "\n")
    else:
        _show(found, out, kind)


def free(out: Path) -> None:
    """Raise InputError where `out` is taken, no name of a profile, or where nothing can be written."""
    if out.suffix != ".toml":
        raise InputError(f"--out {out}: a profile is a TOML file, so its name ends in .toml")
    try:
        taken = os.path.lexists(out)
        above = next(path for path in out.absolute().parents if path.exists())
        writable = above.is_dir() and os.access(above, os.W_OK)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {out}: {getattr(error, 'strerror', None) or error}") from error
    if taken:
        raise InputError(f"{out} exists and is left as it is; choose another name with --out")
    if not writable:
        raise InputError(f"cannot write {out}: {above} is no folder that can be written to")


def _show(found: Fitted, out: Path, kind: str) -> None:
    console = Console()
    for sentence in found.sentences:
        console.print(sentence, highlight=False, markup=False)
    tables = {
        "Estimates": found.estimates,
        "Held-out requests": found.held_out,
        "Tokens per step by draft length": found.other_lengths,
    }
    for title, rows in tables.items():
        if rows:
            console.print(f"\n{title}", style="bold", markup=False, highlight=False)
            console.print(_table(rows))
    for note in found.notes:
        console.print(f"- {note}", style="dim", highlight=False, markup=False)
    console.print(f"Profile: {out}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Use it: draftodds run optimal-k --set {kind}={out}", soft_wrap=True, highlight=False, markup=False)


def _table(rows: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        label = name in ("parameter", "figure")
        table.add_column(Text(name.replace("_", " ")), justify="left" if label else "right", no_wrap=label)
    for row in rows[:ROWS]:
        table.add_row(*(Text(_cell(row, name)) for name in names))
    if len(rows) > ROWS:
        table.add_row(Text(f"and {len(rows) - ROWS} more"))
    return table


def _cell(row: Row, name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if name in RELATIVE:
        return f"{value:+.3f}" if str(row["figure"]).startswith("overlap") else f"{value:+.1%}"
    return f"{value:+.1f}" if name == "z" else f"{value:.3f}"


def _document(found: Fitted, out: Path, kind: str) -> dict[str, Any]:
    tables = {"estimates": found.estimates, "held_out": found.held_out, "other_lengths": found.other_lengths}
    return {
        "profile": str(out),
        "kind": kind,
        "answer": found.sentences,
        **{name: [_finite(row) for row in rows] for name, rows in tables.items()},
        "notes": found.notes,
    }


def _finite(row: Row) -> dict[str, Any]:
    """NaN and infinity as null: JSON has neither."""
    return {key: None if isinstance(v, float) and v - v != 0 else v for key, v in row.items()}
