"""Tasks: module-level functions of plain arguments that simulate a block of worlds, about a second each.

A task returns arrays of integers and block totals; it knows its worlds by number, so blocks of any size, in any
order, on any executor give the same numbers. Prices are float64 NumPy, in a fixed order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from montecarlo import coverage, estimate, surface
from studies.config import Study
from studies.scenario import Built, build

Arrays = dict[str, np.ndarray]

WORLD_WINDOWS = 512  # a world of few recorded requests places several windows in each: at least this many in all
INNER_WORLDS = 12  # worlds per bootstrap replicate


@dataclass(frozen=True)
class Task:
    """`function(*arguments)`, kept under `name`."""

    name: str
    function: Callable[..., Arrays]
    arguments: tuple[Any, ...]


@lru_cache(maxsize=8)
def prepared(study_json: str, index: int) -> Built:
    """Scenario `index` of a resolved study, built once per process."""
    return build(Study.model_validate_json(study_json), index)


def price_list(built: Built) -> list[np.ndarray]:
    """Seconds of one MoE layer, for each batch [draft lengths 0..deepest, distinct experts 0..E]."""
    window = np.arange(built.deepest + 1)[:, None] + 1.0
    distinct = np.arange(built.experts + 1)[None, :]
    return [built.prices.moe_seconds(batch * window, distinct) for batch in built.batches]


def _world(built: Built, seed: int, world: int, replicate: int | None = None) -> list[np.ndarray]:
    """Distinct experts [deepest + 1, groups, layers] of each step of one world."""
    survival = built.acceptance.survival(built.deepest)
    if built.recording is not None:
        steps = -(-WORLD_WINDOWS // built.requests)
        return [
            surface.replayed(
                built.recording,
                survival,
                seed=seed,
                world=world,
                step=step,
                requests=built.requests,
                batches=built.batches,
                tail=built.tail,
                replicate=replicate,
            )
            for step in range(steps)
        ]
    assert built.process is not None
    return [
        surface.sampled(
            built.process,
            survival,
            seed=seed,
            world=world,
            requests=built.requests,
            batches=built.batches,
            tail=built.tail,
        )
    ]


def _priced(built: Built, prices: list[np.ndarray], steps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(seconds, distinct experts) of the MoE layers [groups, deepest + 1], summed over layers, mean over steps."""
    depth = np.arange(built.deepest + 1)[:, None, None]
    seconds, distinct = [], []
    for counts in steps:
        priced = [
            np.ascontiguousarray(prices[b][depth, counts[:, groups]]).sum(axis=2)
            for b, groups in enumerate(coverage.group_slices(built.requests, built.batches))
        ]
        seconds.append(np.concatenate(priced, axis=1).T)
        distinct.append(np.sum(counts, axis=2, dtype=np.int64).T)
    return estimate.mean(np.stack(seconds)), np.sum(distinct, axis=0) / len(steps)


def surface_block(study_json: str, index: int, first: int, worlds: int) -> Arrays:
    """MoE seconds and distinct experts [worlds, groups, deepest + 1] of worlds first .. first + worlds - 1."""
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    shape = (worlds, sum(coverage.groups(built.requests, built.batches)), built.deepest + 1)
    if not built.experts:
        return {"moe_seconds": np.zeros(shape), "distinct": np.zeros(shape)}
    prices = price_list(built)
    blocks = [_priced(built, prices, _world(built, seed, world)) for world in range(first, first + worlds)]
    return {"moe_seconds": np.stack([s for s, _ in blocks]), "distinct": np.stack([d for _, d in blocks])}


def bootstrap_block(study_json: str, index: int, first: int, replicates: int) -> Arrays:
    """Mean MoE seconds [replicates, INNER_WORLDS, batches, deepest + 1] of traces resampled by request."""
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    prices, slices = price_list(built), coverage.group_slices(built.requests, built.batches)
    means = []
    for replicate in range(first, first + replicates):
        for inner in range(INNER_WORLDS):
            world = replicate * INNER_WORLDS + inner
            seconds, _ = _priced(built, prices, _world(built, seed, world, replicate))
            means.append([estimate.mean(seconds[groups]) for groups in slices])
    return {"moe_seconds": np.asarray(means).reshape(replicates, INNER_WORLDS, len(built.batches), built.deepest + 1)}
