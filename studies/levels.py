"""The levels of every assumption that `stress` changes, from those of the post to those of the scenario.

    routing      uniform | popularity | topics (a request's own popularity) | sticky (sections and stickiness too)
                 | trace (recorded), and overlap: sticky with every expert alike
    acceptance   iid (alpha = S(1)) | depth | depth-requests | full; iid-requests, difficulty: full without requests
    tail         text | request | anywhere
    prices       ideal | achieved          drafter   free | priced

Levels of routing keep its load, as every part does (montecarlo/routing.py). Levels of acceptance keep the survival
that an engine prints at the length it drafts (studies/centred.py): i.i.d. keeps S(1), as alpha is read off it. So a
rung changes one thing. Beyond that length, depth keeps its last hazard; processes have their own straight line.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from montecarlo.acceptance import Acceptance
from montecarlo.cost import Ideal
from montecarlo.difficulty import Difficulty
from montecarlo.drafter import Flat
from montecarlo.errors import InputError
from montecarlo.post import Post
from montecarlo.roofline import Floats
from montecarlo.routing import Routing
from studies import cells, centred, choices, scenario
from studies.config import Study
from studies.scenario import Built
from traces import profiles

DRAFTED = 3  # length at which an engine's survival is read, where a law says none or less; vLLM's tests draft 3
SPREADS = "hydra-vicuna-7b"  # whose difficulty is assumed where acceptance is known by depth alone
SYNTHETIC = "gpt-oss-20b"  # whose process stands for a recorded trace


@dataclass(frozen=True)
class Model:
    """One level of each assumption."""

    routing: str
    acceptance: str
    tail: str
    prices: str
    drafter: str


@dataclass(frozen=True)
class Surface:
    """What distinct experts depend on."""

    routing: str
    tail: str
    acceptance: str


@dataclass(frozen=True)
class Levels:
    """A scenario with all levels of its assumptions.

    routing, acceptance: by the names of the levels. survival: of the rejected tail [deepest], by level of acceptance.
    engine: the survival an engine prints, at the length it drafts.
    """

    built: Built
    routing: dict[str, Built]
    acceptance: dict[str, Acceptance | Difficulty]
    survival: dict[str, Floats]
    engine: Floats
    notes: tuple[str, ...]

    @property
    def full(self) -> Model:
        """The scenario itself."""
        routing = "trace" if "trace" in self.routing else "sticky"
        return Model(routing, "full", self.built.tail, "achieved", "priced")

    def places(self) -> list[tuple[int, int, np.ndarray]]:
        """(batch, context, lengths that fit), as indices, where any length above 0 does."""
        return _places(self.built)

    def surface(self, model: Model) -> Surface:
        """The surface of a model; where a tail is as the text, or tokens are independent, it knows no acceptance."""
        if model.tail == "text" or model.routing in ("uniform", "popularity"):
            return Surface(model.routing, "text", "iid")
        return Surface(model.routing, model.tail, model.acceptance)

    def at(self, surface: Surface) -> Built:
        """The scenario whose surface that is."""
        law = Acceptance.of(survival=self.survival[surface.acceptance])
        return replace(self.routing[surface.routing], tail=surface.tail, acceptance=law)

    def prices(self, model: Model, seed: int, worlds: range) -> Ideal | Post:
        """Prices of a model [worlds, 1, 1, 1]; without an axis of worlds where none are drawn."""
        drawn = self.built.drawn(seed, worlds, 3) if model.prices == "achieved" else self.built.ideal
        prices: Ideal | Post = self.built.prices if drawn is None else drawn
        return replace(prices, drafter=Flat.of(fraction=0.0)) if model.drafter == "free" else prices


@lru_cache(maxsize=8)
def prepared(study_json: str, index: int) -> Levels:
    """The levels of scenario `index` of a resolved study, built once per process; or InputError."""
    study = Study.model_validate_json(study_json)
    built = scenario.build(study, index)
    if built.deepest == 0:
        raise InputError("draft_length is 0 alone; stress compares lengths, give at least one above 0")
    if not _places(built):
        raise InputError("nothing that drafts fits in memory, so there is nothing to stress; see `run optimal-k`")
    notes = [note for note in built.notes if "method = walk" not in note]  # surfaces and walks of runs alone, here
    routing = _routings(built, notes)
    acceptance, engine = _acceptances(built, study.seed, notes)
    deepest = max(built.deepest, 1)
    survival = {
        name: law.survival(deepest) if isinstance(law, Acceptance) else centred.walked(law, [deepest], study.seed)[1]
        for name, law in acceptance.items()
    }
    built = replace(built, labels=built.labels | {"study": "stress"})
    return Levels(built, routing, acceptance, survival, engine, tuple(notes))


def _places(built: Built) -> list[tuple[int, int, np.ndarray]]:
    fits, found = cells.in_memory(built), []
    for b in range(len(built.batches)):
        for c in range(len(built.contexts)):
            kept = np.arange(len(built.lengths)) if fits is None else np.flatnonzero(fits[b, c])
            if kept.size and built.lengths[int(kept[-1])] > 0:
                found.append((b, c, kept))
    return found


def _routings(built: Built, notes: list[str]) -> dict[str, Built]:
    """The scenario under each level of routing; a dense target is the same under all."""
    synthetic = replace(built, recording=None)
    if built.recording is not None:
        process = choices.routing(SYNTHETIC, built.layers, built.experts, built.top_k, notes)
        if isinstance(built.prices, Ideal) and built.prices.target.moe:
            process = process.limited(built.prices.target.moe.groups, built.prices.target.moe.top_groups)
        notes.append(
            "The recorded trace is the ladder's last rung of routing; skew and overlap are attributed on the process "
            f"{SYNTHETIC} in its place."
        )
        synthetic = replace(synthetic, process=process)
    else:
        notes.append("No trace was given, so the ladder has no rung of recorded routing.")
    full = synthetic.process
    if full is None:
        return dict.fromkeys(("uniform", "popularity", "topics", "sticky", "overlap"), synthetic)
    topics = replace(full, sectional=False, stickiness=jnp.zeros_like(full.stickiness))
    popularity = replace(topics, topical=False)
    found = {
        "uniform": _alike(popularity),
        "popularity": popularity,
        "topics": topics,
        "sticky": full,
        "overlap": _alike(full),
    }
    levels = {name: replace(synthetic, process=process) for name, process in found.items()}
    return levels | ({"trace": built} if built.recording is not None else {})


def _alike(process: Routing) -> Routing:
    """The process with every expert as popular as any other."""
    layers, experts = process.accept.shape
    alias = np.broadcast_to(np.arange(experts), (layers, experts))
    return replace(process, accept=jnp.ones_like(process.accept), alias=jnp.asarray(alias, jnp.int32))


def _acceptances(built: Built, seed: int, notes: list[str]) -> tuple[dict[str, Acceptance | Difficulty], Floats]:
    """(acceptance by level, the survival an engine prints)."""
    law = built.acceptance
    depths = max(DRAFTED, law.known or 0)
    if isinstance(law, Difficulty):
        engine = centred.walked(law, [depths], seed)[1]
        full = law
    else:
        spread = profiles.difficulty.process(profiles.load(SPREADS).numbers, SPREADS)
        engine = law.survival(depths)
        full = centred.centred(spread, engine, seed)
        notes.append(
            f"Acceptance is known by depth alone, so how difficulty moves is assumed: the spreads of {SPREADS}, with "
            f"offsets at which steps of {depths} drafts accept as given."
        )
    still = replace(full, short_sd=jnp.float32(0), slow_sd=jnp.float32(0))
    flat = replace(still, fall=jnp.float32(0))
    found: dict[str, Acceptance | Difficulty] = {
        "iid": Acceptance.iid(float(engine[0])),
        "depth": Acceptance.of(survival=engine),
        "iid-requests": centred.centred(flat, engine, seed, same=True),
        "depth-requests": centred.centred(still, engine, seed),
        "difficulty": centred.centred(replace(full, request_sd=jnp.float32(0)), engine, seed),
        "full": full,
    }
    return found, engine
