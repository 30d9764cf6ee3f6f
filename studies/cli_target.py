"""`draftodds target import`: a target file from a Hugging Face config.json."""

from pathlib import Path
from typing import Annotated

import tomlkit
import typer
from rich.console import Console

from montecarlo.errors import InputError
from studies import catalog, import_target
from studies.results import write_atomically

app = typer.Typer(help="Targets of your own.")


@app.callback()
def targets() -> None:
    """Targets of your own."""


@app.command("import")
def import_(
    config: Annotated[Path, typer.Argument(metavar="config.json", help="A model's config.json from Hugging Face.")],
    out: Annotated[Path, typer.Option(metavar="T.toml", help="The target file to write.")],
) -> None:
    """Build a target from a model's config.json, and say what was assumed."""
    if out.suffix != ".toml":
        raise InputError(f"--out {out}: a target file ends in .toml")
    if out.exists():
        raise InputError(f"{out} exists and is left as it is; choose another name with --out, or remove it")
    entry, assumed = import_target.read(config)
    try:
        write_atomically(out, lambda path: _put(path, tomlkit.dumps(entry)))
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    target = catalog.target(str(out))
    total, active = target.parameters()
    say = Console().print
    say(f"{out}: {target.layers} layers, {total / 1e9:,.4g} billion parameters, {active / 1e9:,.4g} active per token.")
    say("Assumed (kept in the file):")
    for sentence in assumed:
        say(f"  {sentence}", soft_wrap=True, highlight=False, markup=False)
    say(f"Use it: draftodds run optimal-k --set target={out}", soft_wrap=True, highlight=False, markup=False)


def _put(path: Path, content: str) -> None:
    path.write_text(content, "utf-8")
