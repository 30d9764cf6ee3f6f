"""`draftodds report`: the page and the figures of a results folder again, also as PDF, for a paper or for slides.

Reads result files only, so it has an entry of its own that does not load the simulation.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from montecarlo.errors import InputError
from studies import exits, results

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()


def main() -> None:
    """Entry point of this command alone."""
    exits.run(app, sys.argv[2:], name="draftodds report")


@app.command()
def command(
    folder: Annotated[Path, typer.Argument(help="A results folder.")],
    pdf: Annotated[
        bool,
        typer.Option("--pdf", help="Also print report.pdf (with Chromium, Chrome or Edge), and each figure as PDF."),
    ] = False,
    style: Annotated[
        str | None,
        typer.Option(
            metavar="paper|slides",
            help="Also draw the figures for a paper (no headings: captions.md has them) or slides (16:9).",
        ),
    ] = None,
) -> None:
    """Draw the figures and the report of a results folder again."""
    from reports import media, page, printing
    from reports.style import MEDIA

    if style is not None and style not in MEDIA:
        raise InputError(f"--style {style!r} is none of {', '.join(MEDIA)}")
    results.read(folder)
    try:
        written = page.render(folder)
        said = [folder / "report.html"]
        if style is not None:
            written += media.write(folder, style)
            said.append(folder / "figures" / style)
        if pdf:
            written += media.vectors(folder)
            results.note(folder, written)
            written += printing.write(folder)
            said.append(folder / "report.pdf")
        results.note(folder, written)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from error
    for path in said:
        console.print(f"Report: {path}", soft_wrap=True, highlight=False, markup=False)
