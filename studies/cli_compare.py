"""`draftodds compare`: runs of one study side by side, and whether their differences are real."""

import hashlib
from pathlib import Path
from typing import Annotated

import tomlkit
import typer

from montecarlo.errors import InputError
from studies import cli_answer


def command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Results folders, the baseline first.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("out/compare"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace another comparison in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and its tables as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Set runs of one study side by side, with paired differences from the first."""
    cli_answer.refuse_both(as_json, quiet)
    from studies import compare, runner, runs

    given = runs.read(folders)
    place = out.resolve()
    for folder in folders:
        if place.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(place):
            raise InputError(f"--out {out} is in the way of {folder}, which is compared; choose another")
    found = compare.compare(given)
    asked = tomlkit.dumps({"run": [{"folder": str(run.folder), "sha256": run.digest} for run in given]})
    digest = hashlib.sha256(f"{asked}{sorted(runner.versions().items())}".encode()).hexdigest()
    kept = runner.Folder(out, digest, asked, fresh, name="compare.toml")

    def draw(path: Path) -> list[str]:
        from reports import page

        return page.render(path)

    runner.finish(kept, found, draw)
    cli_answer.say(found, out, as_json=as_json, quiet=quiet)
