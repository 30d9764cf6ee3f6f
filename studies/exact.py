"""A scenario of a study in closed form: prices, mean distinct experts and tokens per step, without sampling."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from montecarlo import closed
from montecarlo.acceptance import Acceptance
from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.errors import InputError
from montecarlo.overlap import Overlap
from montecarlo.post import Post
from montecarlo.roofline import TERMS, Floats
from studies import catalog, choices, config, scenario
from traces import profiles


@dataclass(frozen=True)
class Exact:
    """A scenario ready to be priced; `overlap` is None for a dense target, `batches` None where a study chooses."""

    labels: dict[str, Any]
    given: config.Scenario
    prices: Ideal | Post
    overlap: Overlap | None
    experts: int
    top_k: int
    acceptance: Acceptance
    batches: tuple[int, ...] | None
    contexts: tuple[int, ...]
    lengths: tuple[int, ...]
    terms: tuple[str, ...]
    notes: tuple[str, ...]

    def grid(self, batches: tuple[int, ...]) -> closed.Grid:
        """Step seconds of batches x contexts x lengths."""
        return closed.grid(self.prices, self.overlap, batches, self.contexts, self.lengths, self.terms)

    def fits(self, batches: tuple[int, ...]) -> np.ndarray | None:
        """Whether each batch x context x length fits; None where prices check no memory."""
        batch, context = np.asarray(batches)[:, None, None], np.asarray(self.contexts)[None, :, None]
        found = self.prices.fits(batch, np.asarray(self.lengths)[None, None, :], context)
        shape = (len(batches), len(self.contexts), len(self.lengths))
        return None if found is None else np.broadcast_to(found, shape)

    def tokens_per_step(self) -> Floats:
        """Tokens per step and sequence at each length."""
        return np.asarray(self.acceptance.tokens_per_step(np.asarray(self.lengths)), np.float64)


LARGEST = 1 << 17  # sequences; where a ladder of batches ends if memory does not end it before


def largest_batch(prices: Ideal | Post, context: int, length: int = 0) -> int:
    """The largest batch that fits at one context and draft length, by bisection; 0 where none does."""
    low, high = 0, LARGEST + 1
    while high - low > 1:
        middle = (low + high) // 2
        found = prices.fits(middle, length, context)
        low, high = (middle, high) if found is None or bool(found) else (low, middle)
    return low


@lru_cache(maxsize=8)
def prepared(name: str, study_json: str, index: int) -> Exact:
    """Scenario `index` of a resolved configuration of the study `name`, built once."""
    return build(name, config.Study.model_validate_json(study_json), index)


def build(name: str, study: config.Study, index: int) -> Exact:
    """Build scenario `index` of a resolved configuration; raises InputError for what cannot be."""
    given = study.scenario[index]
    notes: list[str] = []
    if study.trace is not None or given.routing == "trace":
        raise InputError(f"{name} is exact and replays no trace; `draftodds run optimal-k --trace PATH` does")
    if given.tail != "request":
        raise InputError(
            f"tail = {given.tail}: {name} counts distinct experts on average and has no tail; leave it out"
        )
    lengths, contexts = scenario.grids(given)
    prices, (_, experts, top_k) = choices.prices(given, notes)
    overlap = _overlap(str(given.routing), experts, top_k, notes) if experts else None
    if not experts:
        notes.append("The target is dense: routing has nothing to choose.")
    acceptance = choices.acceptance(given.acceptance, given.target, max(lengths), notes)
    if given.batch is not None and min(given.batch) < 1:
        raise InputError(f"batch is {min(given.batch)}; it must be at least 1")
    terms = tuple(term for term in TERMS if given.terms is None or term in given.terms)
    if given.terms is not None:
        left = [term for term in TERMS if term not in terms]
        notes.append(f"Terms left out of every step: {', '.join(left) or 'none'}.")
        if set(terms) <= {"drafting", *(() if isinstance(prices, Achieved) else ("fixed",))}:
            raise InputError(
                f"terms = {', '.join(terms)} alone leaves no step to draft for; name at least one more of them"
            )
    return Exact(
        labels=scenario.labels(name, given, experts) | {"tail": None},
        given=given,
        prices=prices,
        overlap=overlap,
        experts=experts,
        top_k=top_k,
        acceptance=acceptance,
        batches=None if given.batch is None else tuple(given.batch),
        contexts=contexts,
        lengths=lengths,
        terms=terms,
        notes=tuple(notes),
    )


def _overlap(name: str, experts: int, top_k: int, notes: list[str]) -> Overlap:
    """Uniform routing, or a profile of measured overlap carried over to this model."""
    if name == "uniform":
        return Overlap.uniform(experts, top_k)
    if name not in profiles.shipped() and not name.endswith(".toml"):
        overlaps = [shipped for shipped in profiles.shipped() if profiles.load(shipped).kind == "overlap"]
        raise catalog.refuse("routing", name, ["uniform", *overlaps])
    profile = profiles.load(name)
    if profile.kind != "overlap":
        raise InputError(
            f"profile {name} describes {profile.kind}, which has to be sampled; this study is exact and takes uniform "
            "or a profile of overlap, such as qwen3.6-35b-a3b"
        )
    if (profile.numbers.get("experts"), profile.numbers.get("top_k")) != (experts, top_k):
        notes.append(
            f"Overlap is carried over from the {profile.title}: the shape of the popularity, and the ratio of "
            "measured to uniform distinct experts at each window, are kept."
        )
    return profiles.overlap(profile, experts=experts, top_k=top_k)
