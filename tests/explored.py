"""explorer.json read back from its documented layout (docs/explorer.md), in Python: what the page must show."""

from dataclasses import dataclass, field
from math import exp, log
from typing import Any

import numpy as np

Part = dict[str, Any]


@dataclass(frozen=True)
class At:
    """Where the sliders and switches stand; None is as studied."""

    batch: int
    context: int
    alpha: int | None = None  # place in the alphas
    level: float | None = None
    cost: float | None = None
    off: frozenset[str] = field(default_factory=frozenset)


def between(nodes: list[float], values: list[float], at: float) -> float:
    """Along one axis: geometrically over the log of the nodes; linearly where a value is 0; flat past the ends."""
    if len(values) == 1 or at <= nodes[0]:
        return values[0]
    if at >= nodes[-1]:
        return values[-1]
    high = next(place for place, node in enumerate(nodes) if node >= at)
    share = log(at / nodes[high - 1]) / log(nodes[high] / nodes[high - 1])
    low, top = values[high - 1], values[high]
    if low > 0 and top > 0:
        return exp((1 - share) * log(low) + share * log(top))
    return (1 - share) * low + share * top


def value(scenario: Part, entry: Part, at: At, k: int) -> float:
    """An entry at a batch and context, at the draft length in place `k`."""
    rows = [
        between(entry.get("batches", scenario["batches"]), [by_batch[k] for by_batch in by_context], at.batch)
        for by_context in entry["values"]
    ]
    return between(scenario["contexts"], rows, at.context) * (at.batch if entry["per_sequence"] else 1)


def step_terms(scenario: Part, at: At, k: int) -> dict[str, float]:
    """Microseconds of a verify, by term."""
    found = {name: value(scenario, entry, at, k) for name, entry in scenario["terms"].items()}
    held = scenario["experts"]
    if held is not None:
        each = [value(scenario, entry, at, k) for entry in held["at"]]
        level = held["levels"][held["studied"]] if at.level is None else at.level
        found["experts"] = float(np.interp(level, held["levels"], each))
    return {name: spent for name, spent in found.items() if name not in at.off}


def drafting(scenario: Part, at: At, k: int) -> float:
    """Microseconds of drafting."""
    if "drafting" in at.off:
        return 0.0
    base = sum(step_terms(scenario, at, 0).values())
    if at.cost is not None:
        return at.cost * scenario["lengths"][k] * base
    spent = value(scenario, scenario["drafting"], at, k)
    return spent * base if scenario["drafting"]["of_step"] else spent


def tokens(scenario: Part, at: At, k: int) -> float:
    """Tokens per step."""
    if at.alpha is not None:
        return float(scenario["tokens"]["iid"][at.alpha][k])
    return between(scenario["batches"], [row[k] for row in scenario["tokens"]["studied"]], at.batch)


def fits(scenario: Part, at: At, k: int) -> bool:
    """Whether it fits in memory."""
    if scenario["largest"] is None:
        return True
    return at.batch <= between(scenario["contexts"], [row[k] for row in scenario["largest"]], at.context)


def speedups(scenario: Part, at: At) -> list[float | None]:
    """By place of the draft length; None where it does not fit."""
    base = sum(step_terms(scenario, at, 0).values())
    return [
        tokens(scenario, at, k) * base / (sum(step_terms(scenario, at, k).values()) + drafting(scenario, at, k))
        if fits(scenario, at, k)
        else None
        for k in range(len(scenario["lengths"]))
    ]


def best(found: list[float | None]) -> int:
    """The place of the fastest length, the shortest of those alike."""
    return int(np.argmax([-np.inf if one is None else one for one in found]))
