"""Walks as tasks of a study: its grid where acceptance depends on the place in the text, and no surface is exact.

A world draws requests and their runs, walks all of them at every draft length, and deals each walk to every batch.
Texts are recorded (a world takes `requests` of them, in random order) or sampled, TEXT_TOKENS tokens each; for a dense
target they are lengths alone. Contexts grow from `context_tokens`, where the texts begin.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from montecarlo import closed_loop, difficulty, estimate, routing, surface, windows
from montecarlo.cost import Ideal
from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator, key
from montecarlo.post import Post
from montecarlo.roofline import TERMS, Floats
from montecarlo.routing import Routing
from montecarlo.surface import Recording
from montecarlo.text import Text
from montecarlo.walk import Steps, walk
from studies.cells import Cells
from studies.config import Study
from studies.scenario import Built
from studies.tasks import Arrays, Task, blocks, joined, prepared, replicates

BLOCK = 4  # worlds a task
INNER_WORLDS = 2  # worlds per bootstrap replicate
TEXT_TOKENS = 128  # tokens of a sampled text
SAMPLED = 32  # requests sampled at once
PER_SLOT = 4  # requests per slot, where there are enough
MEASURED = 8  # steps priced per request: the others are walked, and stand for themselves in tokens and steps


def tasks(study_json: str, index: int, worlds: int) -> list[Task]:
    """All blocks of `worlds` worlds of scenario `index`, and the bootstrap of its trace."""
    listed = blocks(walk_block, study_json, index, worlds, BLOCK)
    if prepared(study_json, index).recording is not None:
        listed += replicates(bootstrap_block, study_json, index)
    return listed


@dataclass(frozen=True)
class World:
    """Requests to walk: start and lengths [requests] of their rows in `run`; their numbers in the recording, if any."""

    start: np.ndarray
    lengths: np.ndarray
    run: np.ndarray
    numbers: np.ndarray
    recording: Recording | None


def draw(built: Built, seed: int, world: int, replicate: int | None = None) -> World:
    """One world of a scenario; the runs are the same for every length of the grid.

    With a bootstrap `replicate` the requests are drawn from a resample of the recorded ones, as on the surface.
    """
    numbers, lengths = np.arange(built.requests), np.full(built.requests, TEXT_TOKENS)
    recording, longest = built.recording, TEXT_TOKENS
    if built.recording is not None:
        text = built.recording.text
        numbers = np.arange(text.requests)
        if replicate is not None:
            numbers = generator(seed, replicate, Stream.BOOTSTRAP).choice(numbers, text.requests)
        numbers = numbers[generator(seed, world, Stream.ORDER).permutation(text.requests)[: built.requests]]
        lengths, longest = text.lengths[numbers], int(text.lengths.max())
    elif built.process is not None:
        recording = sampled(built.process, built.requests, seed, world)
    run = runs(built, lengths, longest, seed, world)
    return World(np.cumsum(lengths) - lengths, lengths, run, numbers, recording)


def runs(built: Built, lengths: np.ndarray, longest: int, seed: int, world: int) -> np.ndarray:
    """Runs of the requests of a world, one after the other [sum of lengths]; none is `longest` or longer.

    By depth they are drawn afresh at every token; with difficulty a request's follow its path, wherever it stands in
    the world. More requests leave those there are.
    """
    deepest = max(built.deepest, 1)
    if not isinstance(built.acceptance, Difficulty):
        survival = built.acceptance.survival(deepest)
        return np.asarray(surface.runs(survival, seed=seed, world=world, requests=int(lengths.sum())))
    found, stream = [], key(seed, world, Stream.RUN)
    for block in range(-(-len(lengths) // SAMPLED)):
        drawn = difficulty.sample(
            built.acceptance,
            jax.random.fold_in(stream, block),
            requests=SAMPLED,
            tokens=longest,
            draft_length=deepest,
        )
        found += [row[:length] for row, length in zip(np.asarray(drawn), lengths[block * SAMPLED :], strict=False)]
    return np.concatenate(found)


def sampled(process: Routing, requests: int, seed: int, world: int) -> Recording:
    """Texts of `requests` synthetic requests; more of them leave those there are."""
    experts, stream = process.accept.shape[1], key(seed, world, Stream.TEXT)
    parts = []
    for block in range(-(-requests // SAMPLED)):
        drawn = routing.sample(
            process,
            jax.random.fold_in(stream, block),
            jnp.full(SAMPLED, TEXT_TOKENS),
            tokens=TEXT_TOKENS,
            requests=SAMPLED,
        )
        parts.append(np.asarray(drawn).transpose(2, 0, 3, 1).astype(np.uint16))
    ids = np.concatenate(parts)[:requests].reshape(requests * TEXT_TOKENS, *parts[0].shape[2:])
    return Recording.of(Text.of(experts=ids, start=np.arange(0, len(ids) + 1, TEXT_TOKENS)), experts)


def walk_block(study_json: str, index: int, first: int, worlds: int) -> Arrays:
    """Worlds first .. first + worlds - 1; `groups` of slots of all batches, as `groups` counts them, one after another.

    undrafted [worlds, groups, contexts], drafted [worlds, groups, contexts, lengths]: seconds in which a group's slots
    emit its texts; drafting [worlds, batches, contexts, lengths]: of them spent on drafts. tokens, steps, distinct
    experts per layer [worlds, batches, lengths]. terms [worlds, TERMS, batches, contexts, 1 + lengths above 0]: seconds
    of the verifies, the experts aside. NaN where a batch cannot be filled with requests of their own. Where prices are
    drawn, ideal_undrafted and ideal_drafted are the same seconds at rooflines.
    """
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    found = []
    for world in range(first, first + worlds):
        prices = [built.drawn(seed, range(world, world + 1)), *([built.ideal] if built.ideal else [])]
        found.append(_walked(built, draw(built, seed, world), prices, seed, world))
    return joined([{name: values[None] for name, values in one.items()} for one in found])


def bootstrap_block(study_json: str, index: int, first: int, replicates: int) -> Arrays:
    """The same seconds, groups summed [replicates, INNER_WORLDS, batches, ...], of traces resampled by request.

    Prices that are drawn stand at their medians: this error is the trace's alone.
    """
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    found = []
    for replicate in range(first, first + replicates):
        for world in range(replicate * INNER_WORLDS, (replicate + 1) * INNER_WORLDS):
            one = _walked(built, draw(built, seed, world, replicate), [built.prices], seed, world)
            found.append({name: _by_batch(built, one[name][None])[0] for name in ("undrafted", "drafted")})
    return {
        name: np.stack([one[name] for one in found]).reshape(replicates, INNER_WORLDS, *found[0][name].shape)
        for name in found[0]
    }


def per_slot(built: Built, batch: int) -> int:
    """Requests per slot: one for a single slot, else PER_SLOT, or as many as there are."""
    return 1 if batch == 1 else max(1, min(PER_SLOT, built.requests // batch))


def groups(built: Built) -> list[slice]:
    """Where the groups of each batch stand among those of all."""
    counts = [built.requests // (batch * per_slot(built, batch)) for batch in built.batches]
    ends = np.cumsum(counts)
    return [slice(int(end - count), int(end)) for end, count in zip(ends, counts, strict=True)]


def _walked(built: Built, world: World, prices: list[Ideal | Post], seed: int, number: int) -> Arrays:
    """What `walk_block` returns of one world; the seconds of the second price list, if any, are called ideal_."""
    every, where = sorted({0, *built.lengths}), groups(built)
    shape = (len(built.batches), len(built.contexts), len(every))
    found = {name: np.full((shape[0], shape[2]), np.nan) for name in ("tokens", "steps", "distinct")}
    terms = np.zeros((len(TERMS), *shape))
    seconds, drafting = (np.full((len(prices), many, *shape[1:]), np.nan) for many in (where[-1].stop, shape[0]))
    undrafted: dict[tuple[int, int, int], np.ndarray] = {}  # mean step of each group
    for i, length in enumerate(every):
        steps = walk(world.start, world.lengths, world.run, length)
        steps = replace(steps, request=world.numbers[steps.request])
        pool, rows = None, np.zeros((0, 0), np.int64)
        if world.recording is not None:
            rows = windows.rows(steps, world.recording.text, tail=built.tail, seed=seed, world=number)
            pool, rows = windows.held(world.recording, rows)
        for b, batch in enumerate(built.batches):
            slot = per_slot(built, batch)
            try:
                dealt = closed_loop.batches(steps, batch, slot, seed=seed, world=number, measured=MEASURED * slot)
            except InputError:
                continue
            distinct = None if pool is None else windows.distinct(pool, rows, dealt.at)
            found["tokens"][b, i] = _emitted(steps, dealt)
            found["steps"][b, i] = dealt.steps.sum()
            found["distinct"][b, i] = 0.0 if distinct is None else distinct.mean()
            for c, context in enumerate(built.contexts):
                for term, spent in closed_loop.term_seconds(prices[0], steps, dealt, context).items():
                    terms[TERMS.index(term), b, c, i] = closed_loop.duration(dealt, spent)
                for p, listed in enumerate(prices):
                    verify = closed_loop.verify_seconds(listed, steps, dealt, context, distinct)
                    if length == 0:
                        undrafted[p, b, c] = dealt.mean(verify)
                    if (p, b, c) in undrafted:
                        draft = closed_loop.draft_seconds(listed, steps, dealt, context, undrafted[p, b, c])
                        seconds[p, where[b], c, i] = closed_loop.durations(dealt, verify + draft)
                        drafting[p, b, c, i] = closed_loop.durations(dealt, draft).sum()
    asked = [every.index(length) for length in built.lengths]
    found = {name: values[:, asked] for name, values in found.items()}
    for p, name in zip(range(len(prices)), ("", "ideal_"), strict=False):
        found |= {f"{name}undrafted": seconds[p, ..., 0], f"{name}drafted": seconds[p][..., asked]}
    return found | {"drafting": drafting[0][..., asked], "terms": terms}


def _emitted(steps: Steps, dealt: closed_loop.Batches) -> int:
    """Tokens of all groups, the steps left over included: the same at every length."""
    return int(steps.emitted[: dealt.steps.sum()].sum())


def _by_batch(built: Built, values: Floats) -> Floats:
    """Sums over each batch's groups [worlds, batches, ...] of `values` [worlds, groups, ...]."""
    return np.stack([values[:, these].sum(axis=1) for these in groups(built)], axis=1)


def cells(built: Built, seed: int, found: list[Arrays], resampled: list[Arrays]) -> Cells:
    """The grid from the arrays of all worlds, and of all replicates of a trace.

    speedup = tokens_per_step x step_seconds(0) / step_seconds exactly, as on the surface.
    """
    every = joined(found)
    undrafted, drafted = _by_batch(built, every["undrafted"]), _by_batch(built, every["drafted"])
    tokens, steps = every["tokens"], every["steps"]
    per_step, error = estimate.speedup(np.ones(1), tokens, steps)
    batch = np.asarray(built.batches, np.float64)[:, None, None]
    taken = estimate.mean(steps)[:, None, :] / batch  # of the whole batch
    distinct, worlds = every["distinct"], len(drafted)
    again = joined(resampled) if resampled else {}
    return Cells(
        method="walk",
        undrafted=undrafted,
        drafted=drafted,
        tokens=per_step,
        tokens_error=error,
        distinct=estimate.mean(distinct),
        distinct_error=distinct.std(axis=0, ddof=1) / np.sqrt(worlds)
        if worlds > 1
        else np.full(tokens.shape[1:], np.inf),
        step=estimate.mean(drafted) / taken,
        draft=estimate.mean(every["drafting"]) / taken,
        spread=np.stack([_batch_spread(every, these) for these in groups(built)], axis=1),
        emitted=tokens[..., 0],
        resampled=(again["undrafted"], again["drafted"]) if resampled else None,
        ideal=_ideal(built, every) if built.ideal else None,
        terms=_terms(built, every),
    )


def _terms(built: Built, every: Arrays) -> dict[str, Floats]:
    """Mean verify seconds by term [batches, contexts, 1 + lengths above 0]; the experts' are what the others leave."""
    above = np.asarray(built.lengths) > 0
    batch = np.asarray(built.batches, np.float64)[:, None, None]
    # an undrafted step emits one token, so that there are as many steps as tokens
    steps = np.concatenate([every["tokens"][..., :1], every["steps"][..., above]], axis=-1)
    taken = estimate.mean(steps)[:, None, :] / batch
    spent = estimate.mean(every["terms"]) / taken
    found = {term: spent[at] for at, term in enumerate(TERMS) if np.any(spent[at] > 0)}
    if built.experts:
        undrafted = estimate.mean(_by_batch(built, every["undrafted"]))[..., None]
        drafted = estimate.mean(_by_batch(built, every["drafted"]) - every["drafting"])[..., above]
        found["experts"] = np.concatenate([undrafted, drafted], axis=-1) / taken - sum(found.values())
    return found


def _ideal(built: Built, every: Arrays) -> Floats:
    """Speedup at rooflines in the same worlds [batches, contexts, lengths]."""
    undrafted, drafted = (_by_batch(built, every[f"ideal_{name}"]) for name in ("undrafted", "drafted"))
    return estimate.speedup(np.ones(1), undrafted[..., None], drafted)[0]


def _batch_spread(every: Arrays, these: slice) -> Floats:
    """5th and 95th percentile of the speedup over the groups of slots of all worlds [2, contexts, lengths]."""
    one = every["undrafted"][:, these, :, None] / every["drafted"][:, these]
    return np.asarray(np.quantile(one.reshape(-1, *one.shape[2:]), (0.05, 0.95), axis=0))
