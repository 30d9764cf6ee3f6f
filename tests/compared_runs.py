"""Small runs in folders of their own, to be compared."""

import shutil
from importlib import import_module
from pathlib import Path

import polars as pl

from studies import cli, compare, config, runner, runs, scenario
from studies.results import Results

SMALL = {"target": "olmoe-1b-7b", "batch": "[1, 4]", "draft_length": "[0, 1, 2]", "worlds": "12", "world_requests": "8"}
WALKED = {
    "target": "olmoe-1b-7b",
    "acceptance": "eagle-1-vicuna-7b",
    "batch": "1",
    "draft_length": "[0, 2]",
    "worlds": "12",
    "world_requests": "4",
}
EXACT = {"batch": "[1, 4, 16]", "context_tokens": "4096", "draft_length": "[0, 1, 2, 3]", "target": "olmoe-1b-7b"}


def ran(out: Path, study: str = "optimal-k", trace: Path | None = None, **keys: str) -> Path:
    """A results folder without figures."""
    sets = [f"{key}={value}" for key, value in keys.items()]
    options = {"trace": None if trace is None else str(trace)}
    resolved = scenario.fill(study, config.resolve(study, None, sets, options))
    module = import_module(f"studies.{cli.STUDIES[study]}")
    folder = runner.enter(module, study, resolved, out, fresh=False)
    runner.run(module, resolved, folder, progress=lambda *_: None, draw=lambda _: [])
    return out


def copied(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out)
    return out


def compared(*folders: Path) -> Results:
    return compare.compare(runs.read(folders))


def said(found: Results) -> str:
    return " ".join(note for notes in found.notes.values() for note in notes)


def others(found: Results) -> pl.DataFrame:
    return found["results"].filter(~pl.col("baseline"))
