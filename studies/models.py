"""What worlds say of every model of `stress`: seconds per token of each, on the same traffic and the same terms.

Routing and acceptance are independent here, as in every shipped process, so a model's worlds factorise:

    seconds per token = (price of distinct experts + other seconds + drafting) / tokens per step

Distinct experts depend on routing, tail and the law of the run; tokens per step on acceptance alone: closed by depth,
else walks of runs without experts. Kept are counts of distinct experts, not prices: any price list then prices them.

Approximated: the rejected tail's run has the law of steps at the longest draft length, a little shorter than at
others, and is drawn at random places; contexts do not grow. Against studies/walks.py: tests/test_stress.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from montecarlo import coverage
from montecarlo.acceptance import Acceptance
from montecarlo.cost import Ideal
from montecarlo.post import Post
from montecarlo.roofline import Floats
from montecarlo.walk import walk
from studies import centred, surfaces, walks
from studies.config import Study
from studies.ladder import needed
from studies.levels import Levels, Model, Surface, prepared
from studies.scenario import Built
from studies.tasks import Arrays, Task, blocks, joined

BLOCK = 3  # worlds a task


def tasks(study_json: str, index: int, worlds: int) -> list[Task]:
    """All blocks of `worlds` worlds of scenario `index`."""
    return blocks(block, study_json, index, worlds, BLOCK)


def block(study_json: str, index: int, first: int, worlds: int) -> Arrays:
    """Worlds first .. first + worlds - 1.

    experts_I [worlds, batches, deepest + 1, E + 1]: how often a layer of a step has so many distinct experts, on
    surface I of `needed`. tokens_A [worlds, lengths]: tokens per step under acceptance A, of processes that are walked.
    """
    levels, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    found: dict[str, list[np.ndarray]] = {}
    for world in range(first, first + worlds):
        for i, surface in enumerate(needed(levels)):
            found.setdefault(f"experts_{i}", []).append(_counted(levels.at(surface), seed, world))
        for name, law in levels.acceptance.items():
            if not isinstance(law, Acceptance):
                found.setdefault(f"tokens_{name}", []).append(_tokens(_with(levels, name), seed, world))
    return {name: np.stack(parts) for name, parts in found.items()}


def _with(levels: Levels, name: str) -> Built:
    """The scenario with acceptance of level `name`."""
    return replace(levels.built, acceptance=levels.acceptance[name])


def _counted(built: Built, seed: int, world: int) -> np.ndarray:
    """Histogram of distinct experts [batches, deepest + 1, E + 1] of one world; of a dense target, all at 0."""
    shape = (len(built.batches), built.deepest + 1, built.experts + 1)
    found = np.zeros(shape, np.int64)
    if not built.experts:
        found[..., 0] = 1
        return found
    for counts in surfaces.world_counts(built, seed, world):
        for b, groups in enumerate(coverage.group_slices(built.requests, built.batches)):
            for depth in range(shape[1]):
                found[b, depth] += np.bincount(counts[depth, groups].reshape(-1), minlength=shape[2])
    return found


def _tokens(built: Built, seed: int, world: int) -> Floats:
    """Tokens per step [lengths] of one world's texts, of the steps that their ends do not cut."""
    size = np.full(built.requests, walks.TEXT_TOKENS)
    start = np.cumsum(size) - size
    run = walks.runs(built, size, walks.TEXT_TOKENS, seed, world)
    found = np.ones(len(built.lengths))
    for i, length in enumerate(built.lengths):
        steps = walk(start, size, run, length)
        found[i] += steps.accepted[centred.whole(steps, walks.TEXT_TOKENS, built.deepest)].mean()
    return found


@dataclass(frozen=True)
class Models:
    """The arrays of all worlds of a scenario, and what a model makes of them."""

    levels: Levels
    seed: int
    arrays: Arrays

    @classmethod
    def of(cls, levels: Levels, seed: int, listed: list[Task], done: Mapping[str, Arrays]) -> "Models":
        """From the arrays of all tasks, by name."""
        return cls(levels, seed, joined([done[task.name] for task in listed]))

    @property
    def worlds(self) -> int:
        """How many there are."""
        return len(self.arrays["experts_0"])

    @cached_property
    def _moe(self) -> dict[tuple[Surface, str], Floats]:
        return {}

    def experts(self, surface: Surface) -> Floats:
        """Law of distinct experts of a layer [worlds, batches, deepest + 1, E + 1]."""
        counts = self.arrays[f"experts_{needed(self.levels).index(surface)}"]
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True))

    def tokens(self, acceptance: str) -> Floats:
        """Tokens per step [worlds, lengths]."""
        law, lengths = self.levels.acceptance[acceptance], np.asarray(self.levels.built.lengths)
        if isinstance(law, Acceptance):
            return np.tile(law.tokens_per_step(lengths), (self.worlds, 1))
        return self.arrays[f"tokens_{acceptance}"]

    def moe_seconds(self, prices: Ideal | Post, experts: Floats, batches: tuple[int, ...]) -> Floats:
        """Seconds of the MoE layers [worlds, batches, deepest + 1] given the law of distinct experts."""
        built = self.levels.built
        window = np.arange(built.deepest + 1)[:, None] + 1.0
        tokens = np.asarray(batches, np.float64)[:, None, None] * window
        each = prices.moe_seconds(tokens, np.arange(built.experts + 1))
        return np.asarray(built.layers * np.sum(each * experts, axis=-1))

    def seconds(self, model: Model) -> tuple[Floats, Floats]:
        """(undrafted [worlds, batches, contexts], drafted [worlds, batches, contexts, lengths]) seconds per token."""
        built = self.levels.built
        prices, surface = self.levels.prices(model, self.seed, range(self.worlds)), self.levels.surface(model)
        place = (surface, model.prices)
        if place not in self._moe:
            self._moe[place] = self.moe_seconds(prices, self.experts(surface), built.batches)
        undrafted, step, _ = surfaces.step_seconds(built, prices, self._moe[place])
        return undrafted, step / self.tokens(model.acceptance)[:, None, None, :]
