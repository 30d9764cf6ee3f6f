"""What would change the conclusion: the smallest change of one unknown that turns it, all others as they stand.

Terms of the engine move along their own priors, in standard deviations from the median, within the middle 98 %.
What has no prior moves along a level: overlap from popularity alone to the scenario's, the tail from the text to the
scenario's, difficulty from survival by depth to the scenario's, the drafter's cost from free to four times, and
acceptance by logits of every draft from -1 to 1. Unknowns stand at their medians, so the best length here can differ
from the one with the highest mean over worlds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.difficulty import Difficulty
from montecarlo.post import Post
from montecarlo.roofline import Floats
from montecarlo.terms import NAMES, SECONDS
from studies import centred, surfaces
from studies.models import Models

EDGE = float(norm.ppf(0.99))  # of the middle 98 % of a prior
DEAREST = 4.0  # times the drafter's cost
SHIFTS = np.linspace(-1.0, 1.0, 9)  # logits of every draft
POINTS, ROUNDS, PARTS = 48, 3, 16  # of a side at first; then the bracket is cut into parts so many times

Speedups = Callable[[Floats], Floats]  # positions [n] -> speedup [n, lengths]


@dataclass(frozen=True)
class Unknown:
    """One unknown at one batch: speedups along it from `low` to `high`, which stands at `now`.

    value: of a position, in `unit`. deviations: whether positions are standard deviations of a prior.
    """

    name: str
    unit: str
    low: float
    now: float
    high: float
    speedups: Speedups
    value: Callable[[float], float]
    deviations: bool = False


@dataclass(frozen=True)
class Medians:
    """The full model with every unknown at its median, at one batch, context and the `kept` lengths.

    experts [deepest + 1, E + 1], and those without overlap and with the tail as the text; tokens [lengths], those by
    depth alone, and those at SHIFTS of acceptance [shifts, lengths].
    """

    models: Models
    b: int
    c: int
    kept: np.ndarray
    experts: dict[str, Floats]
    tokens: dict[str, Floats]
    shifted: Floats

    def speedups(
        self,
        prices: Ideal | Post | None = None,
        experts: Floats | None = None,
        tokens: Floats | None = None,
        dearer: Floats | float = 1.0,
    ) -> Floats:
        """Speedup [n, lengths] where any of these is another [n, ...]."""
        built = self.models.levels.built
        priced, batch = prices or built.prices, (built.batches[self.b],)
        law = self.experts["full"][None] if experts is None else experts
        moe = self.models.moe_seconds(priced, law[:, None], batch)
        undrafted, step, draft = surfaces.step_seconds(built, priced, moe, batch)
        spent = (step + (np.reshape(dearer, (-1, 1, 1, 1)) - 1) * draft)[:, 0, self.c]
        found = (self.tokens["full"] if tokens is None else tokens) * undrafted[:, 0, self.c, None] / spent
        return np.asarray(found[:, self.kept])


Place = tuple[int, int, np.ndarray]  # batch, context, and the lengths kept, as indices


def listed(models: Models, places: list[Place]) -> Iterator[tuple[Place, list[Unknown]]]:
    """Every unknown at each of the places."""
    full = models.levels.full
    levels = {"full": full, "popularity": replace(full, routing="popularity"), "text": replace(full, tail="text")}
    experts = {name: models.experts(models.levels.surface(model)).mean(axis=0) for name, model in levels.items()}
    tokens = {name: models.tokens(name).mean(axis=0) for name in ("full", "depth")}
    shifted, first = _shifted(models)
    for b, c, kept in places:
        here = {name: law[b] for name, law in experts.items()}
        medians = Medians(models, b, c, kept, here, tokens, tokens["full"] * shifted)
        yield (b, c, kept), list(_unknowns(medians, first))


def rows(models: Models, places: list[Place]) -> Iterator[dict[str, Any]]:
    """The rows of flips.parquet of a scenario, for each unknown and both questions."""
    built = models.levels.built
    for (b, c, kept), unknowns in listed(models, places):
        lengths = np.asarray(built.lengths)[kept]
        for unknown in unknowns:
            now = unknown.speedups(np.array([unknown.now]))[0]
            for question in ("length", "sign"):
                at = smallest(unknown, turned(question, now, lengths))
                yield {
                    "scenario": built.labels["scenario"],
                    "batch": built.batches[b],
                    "context_tokens": built.contexts[c],
                    "question": question,
                    "unknown": unknown.name,
                    "unit": unknown.unit,
                    "draft_length": int(lengths[np.argmax(now)]),
                    "value": unknown.value(unknown.now),
                    "flips_at": None if at is None else unknown.value(at),
                    "deviations": at if unknown.deviations else None,
                    "low": unknown.value(unknown.low),
                    "high": unknown.value(unknown.high),
                    "becomes": None if at is None else int(lengths[np.argmax(unknown.speedups(np.array([at]))[0])]),
                }


def _shifted(models: Models) -> tuple[Floats, Floats]:
    """(tokens per step at SHIFTS over those at none [shifts, lengths], S(1) of an engine there [shifts])."""
    levels = models.levels
    law = levels.acceptance["full"]
    assert isinstance(law, Difficulty)
    tokens, first = [], []
    for shift in SHIFTS:
        moved = replace(law, offsets=law.offsets + np.float32(shift))
        tokens.append(centred.walked(moved, levels.built.lengths, models.seed)[0])
        first.append(centred.walked(moved, [len(levels.engine)], models.seed)[1][0])
    return np.array(tokens) / tokens[len(SHIFTS) // 2], np.array(first)


def _unknowns(medians: Medians, first: Floats) -> Iterator[Unknown]:
    """Every unknown that can move."""
    experts, tokens = medians.experts, medians.tokens

    def between(name: str) -> Speedups:
        return lambda at: medians.speedups(
            experts=experts[name] + at[:, None, None] * (experts["full"] - experts[name])
        )

    def acceptance(at: Floats) -> Floats:
        return medians.speedups(tokens=np.stack([np.interp(at, SHIFTS, by) for by in medians.shifted.T], axis=1))

    def difficulty(at: Floats) -> Floats:
        return medians.speedups(tokens=tokens["depth"] + at[:, None] * (tokens["full"] - tokens["depth"]))

    def level(name: str, speedups: Speedups, high: float = 1.0, unit: str = "level") -> Unknown:
        return Unknown(name, unit, 0.0, 1.0, high, speedups, float)

    yield Unknown("acceptance", "S(1)", -1, 0, 1, acceptance, lambda at: float(np.interp(at, SHIFTS, first)))
    yield level("difficulty", difficulty)
    yield level("overlap", between("popularity"))
    yield level("tail", between("text"))
    yield level("drafter", lambda at: medians.speedups(dearer=at), DEAREST, "times")
    built = medians.models.levels.built
    if built.priors is not None:
        yield from (_term(medians, name) for name in NAMES)


def _term(medians: Medians, name: str) -> Unknown:
    """A term of the engine, along its prior."""
    built = medians.models.levels.built
    prices, priors = built.prices, built.priors
    assert isinstance(prices, Achieved)
    assert priors is not None

    def value(at: float) -> float:
        return priors.along(name, at)

    def speedups(at: Floats) -> Floats:
        moved: dict[str, Any] = {name: np.array([value(float(one)) for one in at]).reshape(-1, 1, 1, 1)}
        same = np.broadcast_to(medians.experts["full"], (len(at), *medians.experts["full"].shape))
        return medians.speedups(replace(prices, terms=replace(prices.terms, **moved)), same)

    return Unknown(name, "s" if name in SECONDS else "1", -EDGE, 0.0, EDGE, speedups, value, deviations=True)


def turned(question: str, now: Floats, lengths: np.ndarray) -> Callable[[Floats], np.ndarray]:
    """Whether speedups [n, lengths] answer `question` otherwise than `now` [lengths] does."""
    drafts = lengths > 0
    if question == "length":
        return lambda speedups: np.argmax(speedups, axis=1) != np.argmax(now)
    return lambda speedups: (speedups[:, drafts].max(axis=1) > 1) != (now[drafts].max() > 1)


def smallest(unknown: Unknown, has_turned: Callable[[Floats], np.ndarray]) -> float | None:
    """The position nearest to `now` at which the answer has turned; None where it nowhere does."""
    found = []
    for end in (unknown.low, unknown.high):
        before, points = unknown.now, POINTS
        beyond: float | None = end
        for _ in range(1 + ROUNDS):
            at = np.linspace(before, float(end if beyond is None else beyond), points + 1)
            hits = np.flatnonzero(has_turned(unknown.speedups(at[1:])))
            if not hits.size:
                beyond = None
                break
            before, beyond, points = float(at[hits[0]]), float(at[hits[0] + 1]), PARTS
        if beyond is not None:
            found.append(beyond)
    return min(found, key=lambda at: abs(at - unknown.now), default=None)
