"""`draftodds trace`: traces of engines into a trace folder, and out of it for SQL."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from montecarlo.errors import InputError
from studies import catalog, cli_describe, cli_fit, cli_synthesise
from traces import importers, store
from traces.request import Shape

app = typer.Typer(help="Recorded traces.")
app.command("describe")(cli_describe.command)
app.command("fit")(cli_fit.command)
app.command("synthesise")(cli_synthesise.command)


@app.callback()
def traces() -> None:
    """Recorded traces."""


@app.command("import")
def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Files or folders; see docs/traces.md.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The trace folder to write.")],
    format: Annotated[str | None, typer.Option(metavar="F", help="The sources' format, where it is unclear.")] = None,
    target: Annotated[str | None, typer.Option(metavar="T", help="The model that was recorded.")] = None,
    tree: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Drafts were trees: their nodes at depth 1, 2, ...")
    ] = None,
) -> None:
    """Read what an engine recorded into a trace folder, and say what was repaired."""
    shape = _shape(target)
    err = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("reading: {task.completed:,} tokens"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bar:
        shown = bar.add_task("reading", total=None)
        info = importers.read(
            sources,
            out,
            format=format,
            shape=shape,
            tree=_tree(tree),
            progress=lambda tokens: bar.update(shown, completed=tokens),
        )
    _say(f"{out}: {_summary(info)}")
    for note in info["notes"]:
        _say(f"- {note}")
    flags = info.get("acceptance", {}).get("flags", [])
    if "shape-unknown" in flags:
        _say("- If the drafts were trees (EAGLE, Medusa), import again with --tree: their nodes at depth 1, 2, ...")
    if "tokens" in info or ("acceptance" in info and "tree" not in flags):
        _say(f"Use it: draftodds run optimal-k --set target={target or 'T'} --set hardware=H --trace {out}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trace folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE.parquet", help="The flat Parquet file to write.")],
) -> None:
    """Write the routing of a trace as one flat Parquet file: a row per request, position, layer and slot."""
    if out.suffix != ".parquet":
        raise InputError(f"--out {out}: the export is a Parquet file, so its name ends in .parquet")
    _say(f"{out}: {store.export(folder, out):,} rows of {', '.join(store.FLAT)}.")


@app.command("capture", hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def capture() -> None:
    """Refused by name until it is built."""
    raise InputError("`draftodds trace capture` is not built yet: capturing traces")


def _shape(target: str | None) -> Shape:
    if target is None:
        return Shape()
    built = catalog.target(target)
    if built.moe is None:
        raise InputError(f"target {target} is dense: it routes nothing, so it has no routing trace")
    return Shape(layers=built.moe_layers, experts=built.moe.experts, top_k=built.moe.top_k, depth=built.layers)


def _tree(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(nodes) for nodes in given.split(",")]
    except ValueError as error:
        raise InputError(f"--tree {given}: give the nodes at depth 1, 2, ..., as in 4,8,8,3,2") from error


def _summary(info: dict[str, Any]) -> str:
    parts = [_routed(info)] if "layers" in info else []
    if "acceptance" in info:
        steps = f"{info['steps']:,} verify steps" if info["steps"] else "shares only, no steps"
        flags = "".join(f", {flag}" for flag in info["acceptance"]["flags"])
        parts.append(f"acceptance ({info['acceptance']['format']}): {steps}{flags}.")
    return " ".join(parts)


def _routed(info: dict[str, Any]) -> str:
    shape = f"{len(info['layers'])} layers, {info['experts']} experts"
    if "tokens" in info:
        return f"{info['requests']:,} requests, {info['tokens']:,} tokens, {shape}, top {info['top_k']}."
    return f"popularity of {shape} in {info['windows']:,} windows."


def _say(line: str) -> None:
    Console().print(line, soft_wrap=True, highlight=False, markup=False)
