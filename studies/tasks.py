"""Tasks: module-level functions of plain arguments that simulate a block of worlds, about a second each.

A task returns arrays of integers and block totals; it knows its worlds by number, so blocks of any size, in any
order, on any executor give the same numbers. Prices are float64 NumPy, in a fixed order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from studies.config import Study
from studies.scenario import Built, build

Arrays = dict[str, np.ndarray]

REPLICATES = 40  # bootstrap replicates of a trace
REPLICATE_BLOCK = 4


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


def blocks(function: Callable[..., Arrays], study_json: str, index: int, worlds: int, size: int) -> list[Task]:
    """`worlds` worlds of scenario `index` in blocks of `size`."""
    return [
        Task(f"scenario{index}-worlds{first}", function, (study_json, index, first, min(size, worlds - first)))
        for first in range(0, worlds, size)
    ]


def replicates(function: Callable[..., Arrays], study_json: str, index: int) -> list[Task]:
    """The bootstrap of a trace, for scenario `index`."""
    return [
        Task(f"scenario{index}-bootstrap{first}", function, (study_json, index, first, REPLICATE_BLOCK))
        for first in range(0, REPLICATES, REPLICATE_BLOCK)
    ]


def joined(parts: list[Arrays]) -> Arrays:
    """The arrays of several blocks as one, along the first axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
