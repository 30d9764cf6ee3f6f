"""`draftodds trace synthesise`: a trace folder sampled from a profile."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from montecarlo.errors import InputError
from studies import catalog
from traces.request import Shape


def command(
    profile: Annotated[str, typer.Argument(metavar="P.toml", help="A profile: an id, or a path to a TOML file.")],
    requests: Annotated[int, typer.Option(metavar="N", help="Requests.")],
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens of each request.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The trace folder to write.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all randomness.")] = 0,
    target: Annotated[
        str | None, typer.Option(metavar="T", help="Routing: a model of other layers and experts than the profile's.")
    ] = None,
    draft_length: Annotated[
        int | None, typer.Option(metavar="K", help="Acceptance: drafted tokens (num_speculative_tokens).")
    ] = None,
) -> None:
    """Sample texts from a profile: experts of every token from routing, verify steps from acceptance."""
    shape, groups = (None, (1, 1)) if target is None else _target(target)
    err = Console(stderr=True)
    from traces.synthesise_trace import synthesise_trace

    with Progress(
        TextColumn("synthesising"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bar:
        shown = bar.add_task("synthesising", total=max(requests, 1) * max(tokens, 1))
        info = synthesise_trace(
            profile,
            out,
            requests=requests,
            tokens=tokens,
            seed=seed,
            shape=shape,
            groups=groups,
            draft_length=draft_length,
            progress=lambda done: bar.update(shown, completed=done),
        )
    held = (
        f"{info['steps']:,} verify steps, drafted {draft_length} ahead"
        if "steps" in info
        else f"{len(info['layers'])} layers, {info['experts']} experts, top {info['top_k']}"
    )
    console = Console()
    said = f"{out}: {requests:,} requests of {tokens:,} tokens, {held}."
    console.print(said, soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"Use it: draftodds run optimal-k --set target={target or 'T'} --set hardware=H --trace {out}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _target(given: str) -> tuple[Shape, tuple[int, int]]:
    """The shape of a target, and its groups of experts."""
    built = catalog.target(given)
    if built.moe is None:
        raise InputError(f"target {given} is dense: it routes nothing")
    shape = Shape(layers=built.moe_layers, experts=built.moe.experts, top_k=built.moe.top_k, depth=built.layers)
    return shape, (built.moe.groups, built.moe.top_groups)
