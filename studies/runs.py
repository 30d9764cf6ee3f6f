"""Results folders to compare: what each was asked for, which scenarios they share, and in which keys they differ."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from studies import config, results
from studies.columns import FILES
from studies.config import DEPLOYMENT, GRID_KEYS, Scenario, Study
from studies.results import Results

COMPARABLE = ("optimal-k", "economics", "frontier", "sensitivity", "stress")
RUN_KEYS = ("worlds", "error", "world_requests", "seed", "trace")
EFFORT = {"worlds", "error", *GRID_KEYS}  # how much was studied, not what
NAMED_BY, LONGEST_NAME = 2, 24  # a run is called after so many values at most, of so many characters


@dataclass(frozen=True)
class Run:
    """A results folder: the configuration it was asked for, its results, and the SHA-256 of its result files."""

    folder: Path
    asked: Study
    results: Results
    digest: str


@dataclass(frozen=True)
class Difference:
    """A key in which a run is not the baseline; scenario: its index among the shared ones, None for the whole run."""

    scenario: int | None
    key: str
    baseline: str
    value: str


def read(folders: Sequence[Path]) -> list[Run]:
    """The runs in `folders`, the baseline first; raises InputError for those that cannot be compared."""
    if len(folders) < 2:
        raise InputError("compare takes two results folders or more, the baseline first")
    places = [folder.resolve() for folder in folders]
    if twice := [folder for at, folder in enumerate(folders) if places[at] in places[:at]]:
        raise InputError(f"{twice[0]} is given twice; give each results folder once")
    found = []
    for folder in folders:
        held = results.read(folder)
        if held.study not in COMPARABLE:
            hint = "its tables hold measurements, not choices: read scores.parquet of each"
            hint = "compare the runs themselves" if held.study == "compare" else hint
            raise InputError(f"{folder} is a run of {held.study}, which compare does not take; {hint}")
        asked = config.resolve(held.study, folder / "study.toml", [], {})
        content = b"".join((folder / f"{name}.parquet").read_bytes() for name in FILES[held.study])
        found.append(Run(folder, asked, held, hashlib.sha256(content).hexdigest()))
    if len({run.results.study for run in found}) > 1:
        listed = ", ".join(f"{run.folder} of {run.results.study}" for run in found)
        raise InputError(f"runs of different studies cannot be compared: {listed}")
    return found


def shared(runs: Sequence[Run]) -> list[tuple[int, ...]]:
    """Scenarios that all runs have, each as its index in every run.

    Where every run has one scenario alone, these belong together; else those of the same name; else those of the same
    target on the same hardware.
    """
    if all(len(run.asked.scenario) == 1 for run in runs):
        return [(0,) * len(runs)]
    for marks in (
        [[scenario.name for scenario in run.asked.scenario] for run in runs],
        [[f"{scenario.target} on {scenario.hardware}" for scenario in run.asked.scenario] for run in runs],
    ):
        common = [mark for mark in marks[0] if all(its.count(mark) == 1 for its in marks)]
        if common:
            return [tuple(its.index(mark) for its in marks) for mark in common]
    raise InputError(
        f"no scenario is in all of {', '.join(str(run.folder) for run in runs)}; give those that belong together "
        "the same name, or compare runs of one scenario each"
    )


def differing(baseline: Run, run: Run, pairs: Sequence[tuple[int, int]]) -> list[Difference]:
    """The keys of study.toml in which `run` is not the baseline; pairs: indices of the scenarios in both."""
    found = []
    for key in RUN_KEYS:
        # a trace is its content, not its place
        content = [getattr(one.asked, "trace_sha256" if key == "trace" else key) for one in (baseline, run)]
        if content[0] != content[1]:
            found.append(Difference(None, key, *(_said(getattr(one.asked, key)) for one in (baseline, run))))
    for at, (first, second) in enumerate(pairs):
        one, other = baseline.asked.scenario[first], run.asked.scenario[second]
        for key in Scenario.model_fields:
            values = [getattr(scenario, key) for scenario in (one, other)]
            if key != "name" and values[0] != values[1]:
                found.append(Difference(at, key, *map(_said, values)))
    return found


def names(runs: Sequence[Run], scenarios: Sequence[tuple[int, ...]]) -> list[str]:
    """What to call each run: the values in which they differ where these are few and short, else its folder."""
    keys = {
        difference.key
        for at in range(1, len(runs))
        for difference in differing(runs[0], runs[at], [(each[0], each[at]) for each in scenarios])
        if difference.key not in EFFORT
    }
    if 0 < len(keys) <= NAMED_BY:
        called = [_values(run, [each[at] for each in scenarios], sorted(keys)) for at, run in enumerate(runs)]
        if all(0 < len(name) <= LONGEST_NAME for name in called) and len(set(called)) == len(called):
            return called
    folders = [run.folder.name or str(run.folder) for run in runs]
    return folders if len(set(folders)) == len(folders) else [str(run.folder) for run in runs]


def _values(run: Run, scenarios: Sequence[int], keys: Sequence[str]) -> str:
    """The values of `keys`, numbers with their key; empty where scenarios have different ones."""
    said = []
    for key in keys:
        values = (
            {_said(getattr(run.asked, key))}
            if key in RUN_KEYS
            else {_said(getattr(run.asked.scenario[index], key)) for index in scenarios}
        )
        if len(values) > 1:
            return ""
        value = values.pop()
        said.append(f"{key} {value}" if value[:1].isdigit() or value == "none" else value)
    return ", ".join(said)


def _said(value: Any) -> str:
    """A value of study.toml as a phrase."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_said(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, str):
        return Path(value).stem if value.endswith((".toml", ".npz")) else value
    return f"{value:g}" if isinstance(value, float) else str(value)


def deployments_differ(differences: Sequence[Difference]) -> bool:
    """Whether what runs without drafts is not the same."""
    return any(difference.key in DEPLOYMENT for difference in differences)
