"""stress: which assumption moves the answer, from the post's to the full model, rung by rung and in every order.

The ladder (studies/ladder.py), Shapley shares of seven families (studies/attribution.py), what uniform routing and
i.i.d. acceptance get wrong, and what would change the conclusion (studies/flips.py); on one set of worlds.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from studies import attribution, flips, ladder, models
from studies.choosing import Choosing
from studies.columns import FILES
from studies.config import Study
from studies.levels import Model, prepared
from studies.models import Models
from studies.results import Results
from studies.tasks import Arrays, Task

ABOUT = "which assumption moves the answer, and what would change it"
Frames = dict[str, list[dict[str, Any]]]


def tasks(study: Study, worlds: int) -> list[Task]:
    """The tasks of every scenario."""
    plain = study.model_dump_json()
    return [task for index in range(len(study.scenario)) for task in models.tasks(plain, index, worlds)]


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios from the arrays of all tasks, by task name."""
    plain, notes = study.model_dump_json(), {}
    frames: Frames = {name: [] for name in FILES["stress"]}
    for index in range(len(study.scenario)):
        found = Models.of(prepared(plain, index), study.seed, models.tasks(plain, index, worlds), done)
        said = _scenario(found, frames)
        notes[found.levels.built.labels["scenario"]] = [*found.levels.notes, *said]
    made = {name: pl.DataFrame(rows, schema=FILES["stress"][name]) for name, rows in frames.items()}
    return Results("stress", made, notes, meta)


def _scenario(found: Models, frames: Frames) -> list[str]:
    """Add the rows of one scenario; returns what was left out, a sentence each."""
    built, seed = found.levels.built, found.seed
    steps = ladder.rungs(found.levels)
    seconds = {step.model: found.seconds(step.model) for step in steps}
    idle = [
        after
        for before, after in pairwise(steps)
        if all(np.array_equal(a, b) for a, b in zip(seconds[before.model], seconds[after.model], strict=True))
    ]
    kept_rungs = [step for step in steps if step not in idle]
    corners, naive = ladder.corners(found.levels), ladder.naive(found.levels)
    every = {model: found.seconds(model) for model in dict.fromkeys([*corners, *naive.values()])} | seconds
    for b, c, kept in found.levels.places():
        lengths = np.asarray(built.lengths)[kept]
        place = {"scenario": built.labels["scenario"], "batch": built.batches[b], "context_tokens": built.contexts[c]}

        def table(listed: list[Model], b: int = b, c: int = c, kept: np.ndarray = kept) -> Choosing:
            undrafted = np.stack([every[model][0][:, b, c] for model in listed])
            drafted = np.stack([every[model][1][:, b, c][:, kept] for model in listed])
            return Choosing(undrafted, drafted, len(listed) - 1, int(built.lengths[int(kept[0])] == 0))

        # an idle last rung is the full model all the same: it is equal to the one before
        rungs = table([step.model for step in kept_rungs])
        frames["results"] += [
            built.labels | place | row | {"rung": i, "assumption": step.name, "family": step.family}
            for i, (step, row) in enumerate(zip(kept_rungs, _rungs(rungs, lengths, seed), strict=True))
        ]
        shares, pairs = attribution.rows(place, table(corners), lengths, seed)
        frames["shares"] += shares
        frames["interactions"] += pairs
        against = table([*naive.values(), steps[-1].model])
        frames["naive"] += [
            place | row | {"assumption": name}
            for name, row in zip(naive, _ratios(against, lengths, seed), strict=False)
        ]
    frames["flips"] += flips.rows(found, found.levels.places())
    said = [f"Left out, as it changes nothing here: {step.name}." for step in idle]
    fitting = {(b, c) for b, c, _ in found.levels.places()}
    shut = [
        batch for b, batch in enumerate(built.batches) if all((b, c) not in fitting for c in range(len(built.contexts)))
    ]
    if shut:
        said.append(f"Batches left out, as nothing that drafts fits in memory there: {', '.join(map(str, shut))}.")
    return said


def _rungs(table: Choosing, lengths: np.ndarray, seed: int) -> Iterator[dict[str, Any]]:
    """What each rung chooses and promises, and what that is worth under the full model."""
    everyone = np.arange(table.worlds)
    best, honest, regret = table.best(everyone), np.exp(table.believed(everyone)), table.regret(everyone)
    promised, full = _of_lengths(table, best, everyone)
    again = [
        (*_of_lengths(table, best, drawn), table.believed(drawn), table.regret(drawn))
        for drawn in table.resampled(seed)
    ]
    errors = [np.std(values, axis=0, ddof=1) for values in zip(*again, strict=True)]
    for i, k in enumerate(best):
        own = table.undrafted[i] / table.drafted[i, :, k]
        true = table.undrafted[table.full] / table.drafted[table.full, :, k]
        yield {
            "worlds": table.worlds,
            "best_draft_length": int(lengths[k]),
            "speedup": promised[i],
            "speedup_se": errors[0][i],
            "p_loss": float(np.mean(own < 1)),
            "honest_speedup": honest[i],
            "honest_speedup_se": honest[i] * errors[2][i],
            "full_speedup": full[i],
            "full_speedup_se": errors[1][i],
            "full_p_loss": float(np.mean(true < 1)),
            "regret": regret[i],
            "regret_se": errors[3][i],
        }


def _of_lengths(table: Choosing, best: np.ndarray, worlds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speedups of the lengths `best` [models]: each under its own model, and all under the full one."""
    undrafted, spent = table.undrafted[:, worlds].mean(axis=1), table.drafted[:, worlds].mean(axis=1)
    return undrafted / spent[np.arange(len(best)), best], undrafted[table.full] / spent[table.full, best]


def _ratios(table: Choosing, lengths: np.ndarray, seed: int) -> Iterator[dict[str, Any]]:
    """What the models before the full one say of its best length, and what their own would lose."""
    everyone = np.arange(table.worlds)
    best, regret = table.best(everyone), table.regret(everyone)
    again = [(table.fixed(drawn), table.believed(drawn), table.regret(drawn)) for drawn in table.resampled(seed)]
    errors = np.std([values for *_, values in again], axis=0, ddof=1)
    found: dict[str, np.ndarray] = {}
    for g, (name, values) in enumerate((("ratio", table.fixed(everyone)), ("own_ratio", table.believed(everyone)))):
        ratios = [np.exp(one[g] - one[g][table.full]) for one in again]
        found[name] = np.exp(values - values[table.full])
        found[f"{name}_low"], found[f"{name}_high"] = np.quantile(ratios, (0.025, 0.975), axis=0)
    for i in range(table.full):
        yield {
            "worlds": table.worlds,
            "full_draft_length": int(lengths[best[table.full]]),
            "draft_length": int(lengths[best[i]]),
            "regret": regret[i],
            "regret_se": errors[i],
        } | {name: float(values[i]) for name, values in found.items()}


def largest_error(results: Results) -> float:
    """Largest relative Monte Carlo error of any rung's speedup, in percent."""
    relative = (results["results"]["speedup_se"] / results["results"]["speedup"]).to_numpy()
    return float(100 * relative.max(initial=0.0))
