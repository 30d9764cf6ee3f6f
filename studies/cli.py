"""The command line: parse, call, print. One line and exit 2 for the user's mistakes, 1 for a task that failed."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from montecarlo.errors import InputError
from studies import catalog, cli_answer, cli_calibrate, cli_compare, cli_report, cli_target, cli_trace, config, exits
from traces import profiles

# Every study: its id, and its module under `studies`, which has ABOUT, prepared, tasks, conclude and largest_error.
STUDIES = {
    "optimal-k": "optimal_k",
    "economics": "economics",
    "stress": "stress",
    "sensitivity": "sensitivity",
    "frontier": "frontier",
    "validate": "validate",
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What are the odds that drafting pays? Monte Carlo studies of speculative decoding on MoE models.",
)
app.add_typer(cli_target.app, name="target")
app.add_typer(cli_trace.app, name="trace")
app.command("calibrate")(cli_calibrate.command)
app.command("report")(cli_report.command)
app.command("compare")(cli_compare.command)
out_console, err_console = Console(), Console(stderr=True)


@app.command("list")
def list_() -> None:
    """Show studies, targets, hardware, drafters, prices and profiles, each with its id."""
    table = Table("what", "id", "", box=None, header_style="bold", pad_edge=False)
    for name, module in STUDIES.items():
        table.add_row("study", name, import_module(f"studies.{module}").ABOUT)
    for name, entry in catalog.table("targets").items():
        table.add_row(
            "target",
            name,
            entry["confidence"].split(" (")[0] + " confidence",
        )
    for name, entry in catalog.table("hardware").items():
        table.add_row(
            "hardware",
            name,
            f"{entry['memory_bytes'] / 1e9:g} GB at {entry['memory_bytes_per_s'] / 1e12:g} TB/s",
        )
    table.add_row("drafter", "eagle-3", "one decoder layer derived from the target, run once per draft")
    table.add_row("drafter", "fraction:C", "C of an undrafted target step per draft")
    table.add_row(
        "drafter", "block:LxT", "L layers derived from the target, one pass a step over T tokens (DFlash, DSpark)"
    )
    table.add_row("drafter", "free", "costs nothing: the upper bound")
    table.add_row("prices", "achieved", "rooflines with what engines achieve and add, drawn from priors (the default)")
    table.add_row("prices", "ideal", "rooflines, kernel by kernel")
    table.add_row("prices", "post", "the post's chart formula (deepseek-v4-flash on b200-sxm)")
    for name in profiles.shipped():
        profile = profiles.load(name)
        table.add_row(f"{profile.kind} profile", name, profile.title)
    table.add_row("routing", "uniform", "every expert alike, every token on its own")
    table.add_row("routing", "trace", "the recorded routing given with --trace")
    Console(width=max(out_console.width, 110)).print(table)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study's id; see `draftodds list`.")],
    config_file: Annotated[Path | None, typer.Option("--config", help="TOML file; see docs/configuration.md.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; VALUE is TOML.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="A routing trace to replay: a trace folder, or npz.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder (default: out/STUDY).")] = None,
    worlds: Annotated[int | None, typer.Option(help="Number of worlds to draw.")] = None,
    error: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Draw worlds until every speedup's Monte Carlo error is below this."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace results of another configuration in the folder.")
    ] = False,
    scheduler: Annotated[str | None, typer.Option(hidden=True, help="A cluster's scheduler (not built yet).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and its tables as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Run a study: simulate, write result files, figures and report.html, and print the answer."""
    if study not in STUDIES:
        raise catalog.refuse("study", study, list(STUDIES))
    if scheduler is not None:
        raise InputError("--scheduler is not built yet; leave it out to run on this machine")
    if worlds is not None and error is not None:
        raise InputError("--worlds and --error exclude each other: give the number of worlds, or the error to reach")
    cli_answer.refuse_both(as_json, quiet)
    overrides: dict[str, Any] = {
        "worlds": worlds,
        "error": error,
        "seed": seed,
        "trace": None if trace is None else str(trace),
    }
    if study in config.EXACT:
        options = {"--worlds": worlds, "--error": error, "--seed": seed, "--trace": trace}
        keys = [text.partition("=")[0].strip() for text in set_ or []]
        given = [name for name, value in options.items() if value is not None]
        given += [f"--set {key}" for key in keys if key in config.STUDY_KEYS]
        if given:
            raise InputError(f"{study} is exact: nothing is drawn and no trace replayed; leave out {', '.join(given)}")
    resolved = config.resolve(study, config_file, set_ or [], overrides)
    from studies import runner, scenario

    module = import_module(f"studies.{STUDIES[study]}")
    resolved = module.fill(resolved) if study == "validate" else scenario.fill(study, resolved)
    folder = runner.enter(module, study, resolved, out or Path("out") / study, fresh=fresh)

    def draw(path: Path) -> list[str]:
        from reports import page

        return page.render(path)

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err_console,
        transient=True,
        disable=quiet or as_json or not err_console.is_terminal,
    ) as bar:
        shown = bar.add_task("simulating", total=None)
        found = runner.run(
            module,
            resolved,
            folder,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
            draw=draw,
        )
    cli_answer.say(found, folder.path, as_json=as_json, quiet=quiet)


def main() -> None:
    """Entry point: the user's mistakes in one line and exit code 2, a failed task 1, an interrupt 130."""
    exits.run(app, sys.argv[1:] or ["--help"])
