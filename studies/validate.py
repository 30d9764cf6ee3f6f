"""validate: prices against measurements: what steps cost, what drafting gains, which length is best.

Each engine's terms are fitted to its rows without drafts (studies/calibrate.py) and never to those predicted; the
tokens per step of a row are given. Then, with sigma the discrepancy of prices and e standard normal, in every world

    step ratio      = s(k) / s(0)  exp(sqrt(2) sigma e)       s: seconds of a decode step, at the same concurrency
    throughput gain = X(k) / X(0)  exp(sqrt(2) sigma e)
    seconds/token   = t(k)  exp(sigma e)

Where the hardware was not said it is drawn from a list, each weighted by how likely it makes the rows without drafts.
Where the tokens per step are another text's, its accepted drafts are off by a factor with a stated error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from montecarlo.errors import InputError
from montecarlo.memory import weight_bytes
from studies import calibrate, catalog, columns, config, drafters, forward, measured, prices, scores
from studies.config import Study
from studies.forward import Deployment
from studies.measured import Group
from studies.predictions import Engine, compared
from studies.results import Results
from studies.tasks import Arrays, Task

ABOUT = "prices against measured step times and throughputs, with intervals, beside naive predictors"
KEYS = {"name", "measured", "prices", "routing"}  # of a scenario
# Where the hardware was not said: datacentre devices that SGLang's published runs are made on, 1 to 8 of them, alike.
DEVICES = ("h100-sxm", "h200-sxm", "b200-sxm")
COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Ready:
    """A scenario: its groups, each with the engines it may have run on."""

    name: str
    groups: tuple[tuple[Group, tuple[Engine, ...]], ...]
    notes: tuple[str, ...]


def fill(study: Study) -> Study:
    """The configuration with names; raises InputError for keys that the rows or the study decide."""
    plain = config.Scenario()
    for given in study.scenario:
        named = [key for key in type(given).model_fields if key not in KEYS]
        if asked := [key for key in named if getattr(given, key) != getattr(plain, key)]:
            raise InputError(
                f"validate takes {', '.join(asked)} from the measured rows; give {', '.join(sorted(KEYS))}"
            )
    if study.error is not None or study.trace is not None:
        raise InputError("validate replays no trace and draws worlds as asked; leave out --trace and --error")
    if any(given.measured is None for given in study.scenario):
        raise InputError(f"validate needs measured: {', '.join(measured.SHIPPED)} or a path to a .csv file")
    if other := sorted({g.prices for g in study.scenario if g.prices != "achieved" and not g.prices.endswith(".toml")}):
        raise InputError(f"validate calibrates prices achieved or those of a .toml file, not {', '.join(other)}")
    filled = [given.model_copy(update={"name": given.name or str(given.measured)}) for given in study.scenario]
    names = [given.name for given in filled]
    if len(set(names)) < len(names):
        raise InputError(f"two scenarios are called {next(n for n in names if names.count(n) > 1)!r}; give each a name")
    return config.validated(study.model_dump() | {"scenario": [given.model_dump(warnings=False) for given in filled]})


def tasks(study: Study, worlds: int) -> list[Task]:
    """None: fits take a second, so all is done at the end."""
    return []


def largest_error(results: Results) -> float:
    """None: worlds are as many as asked."""
    return 0.0


@lru_cache(maxsize=16)
def prepared(study_json: str, index: int) -> Ready:
    """Scenario `index`, its rows read and its engines built; raises InputError for what cannot be."""
    given = Study.model_validate_json(study_json).scenario[index]
    routing = given.routing or "qwen3.6-35b-a3b"
    groups = tuple((group, _engines(group, routing, given.prices)) for group in measured.read(str(given.measured)))
    notes = [
        f"Distinct experts: {routing}, carried over to each target.",
        f"Discrepancy of prices: {calibrate.DISCREPANCY:.0%} a row; more where rows without drafts are further off.",
        "Several devices are an even split of one step; communication is inside the fixed times.",
    ]
    if any(group.hardware is None for group, _ in groups):
        notes.append(f"Hardware not said: {', '.join(DEVICES)}, 1 to 8 of them, each where the weights fit, alike.")
    if any(group.rows["prompt_tokens"].is_null().any() for group, _ in groups):
        notes.append(f"Lengths not said: {forward.USUAL_CONTEXT:,.0f} tokens of context, no prompt priced.")
    for error in sorted({e for group, _ in groups for e in group.rows["tokens_per_step_error"].to_list() if e}):
        notes.append(f"Tokens per step are another text's: accepted drafts are taken to be off by {error:.0%}.")
    return Ready(given.name, groups, tuple(notes))


def _engines(group: Group, routing: str, given: str) -> tuple[Engine, ...]:
    target = catalog.target(group.target)
    drafter, overlap = drafters.drafter(group.drafter, target), forward.overlap(routing, target)
    said = [(group.hardware, group.devices)] if group.hardware and group.devices else None
    found = []
    for name, count in said or [(name, count) for name in DEVICES for count in COUNTS]:
        hardware = forward.together(catalog.hardware(name), count)
        if said or weight_bytes(target) < hardware.memory:
            priors = prices.load(given, name, target.expert_format if target.moe else None)
            found.append(Engine(name, count, Deployment(target, hardware, drafter, overlap), priors))
    return tuple(found)


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """Predictions, scores, the lengths one would choose, and the terms fitted."""
    plain = study.model_dump_json()
    rows: dict[str, list[dict[str, Any]]] = {"results": [], "choices": [], "terms": []}
    notes = {}
    for index in range(len(study.scenario)):
        ready = prepared(plain, index)
        notes[ready.name] = list(ready.notes)
        for place, (group, engines) in enumerate(ready.groups):
            said = {"scenario": ready.name} | {name: getattr(group, name) for name in measured.GROUP}
            found = compared(group, engines, study.seed, worlds, place)
            rows["results"] += [said | row for row in found.predictions]
            rows["choices"] += [said | row for row in found.choices]
            rows["terms"] += [said | row for row in found.terms]
    schemas = columns.FILES["validate"]
    frames = {
        name: pl.DataFrame([{column: row[column] for column in schemas[name]} for row in found], schema=schemas[name])
        for name, found in rows.items()
    }
    frames["scores"] = scores.table(frames["results"]).select(list(schemas["scores"]))
    return Results("validate", frames, notes, meta)
