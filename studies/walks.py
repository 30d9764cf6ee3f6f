"""Walks for optimal-k: its grid where acceptance depends on the text, and the surface is no longer exact.

A world draws requests and their runs, walks all of them at every draft length, and deals each walk to every batch.
Texts are recorded (a world takes `requests` of them, in random order) or sampled, TEXT_TOKENS tokens each; for a dense
target they are lengths alone. Contexts grow from `context_tokens`, where the texts begin.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from montecarlo import closed_loop, routing, surface, windows
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator, key
from montecarlo.routing import Routing
from montecarlo.surface import Recording
from montecarlo.text import Text
from montecarlo.walk import Steps, walk
from studies.config import Study
from studies.scenario import Built
from studies.tasks import Arrays, prepared

TEXT_TOKENS = 128  # tokens of a sampled text
SAMPLED = 32  # requests sampled at once
PER_SLOT = 4  # requests per slot, where there are enough


@dataclass(frozen=True)
class World:
    """Requests to walk: start and lengths [requests], their `order`, runs by row; the recording (None: dense)."""

    start: np.ndarray
    lengths: np.ndarray
    order: np.ndarray
    run: np.ndarray
    recording: Recording | None


def draw(built: Built, seed: int, world: int) -> World:
    """One world of a scenario; runs are by depth, afresh at every token, the same for every length of the grid."""
    order = np.arange(built.requests)
    start, lengths = order * TEXT_TOKENS, np.full(built.requests, TEXT_TOKENS)
    recording, rows = built.recording, built.requests * TEXT_TOKENS
    if recording is None and built.process is not None:
        recording = sampled(built.process, built.requests, seed, world)
    if built.recording is not None:
        text, rows = built.recording.text, len(built.recording.text.experts)
        start, lengths = text.start[: text.requests], text.lengths
        order = generator(seed, world, Stream.ORDER).permutation(text.requests)[: built.requests]
    run = surface.runs(built.acceptance.survival(max(built.deepest, 1)), seed=seed, world=world, requests=rows)
    return World(start, lengths, order, np.asarray(run), recording)


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
    """Worlds first .. first + worlds - 1, summed over each world's groups of slots.

    tokens, steps [worlds, batches, lengths]; seconds, in which the slots emit the tokens [worlds, batches, contexts,
    lengths], and undrafted the same at k = 0; distinct experts per layer [worlds, batches, lengths]. NaN where a batch
    cannot be filled with requests of their own.
    """
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    blocks = [_world(built, seed, world) for world in range(first, first + worlds)]
    return {name: np.stack([block[name] for block in blocks]) for name in blocks[0]}


def _world(built: Built, seed: int, number: int) -> Arrays:
    world, lengths = draw(built, seed, number), list(built.lengths)
    every = sorted({0, *lengths})
    shape = (len(built.batches), len(built.contexts), len(every))
    found = {name: np.full((shape[0], shape[2]), np.nan) for name in ("tokens", "steps", "distinct")}
    seconds = np.full(shape, np.nan)
    undrafted: dict[tuple[int, int], np.ndarray] = {}  # mean step of each group
    for i, length in enumerate(every):
        steps = walk(world.start, world.lengths, world.run, length, order=world.order)
        pool, rows = None, np.zeros((0, 0), np.int64)
        if world.recording is not None:
            rows = windows.rows(steps, world.recording.text, tail=built.tail, seed=seed, world=number)
            pool, rows = windows.held(world.recording, rows)
        for b, batch in enumerate(built.batches):
            try:
                dealt = closed_loop.batches(steps, batch, per_slot(built, batch), seed=seed, world=number)
            except InputError:
                continue
            distinct = None if pool is None else windows.distinct(pool, rows, dealt.at)
            found["tokens"][b, i] = _emitted(steps, dealt)
            found["steps"][b, i] = dealt.steps.sum()
            found["distinct"][b, i] = 0.0 if distinct is None else distinct.mean()
            for c, context in enumerate(built.contexts):
                verify = closed_loop.verify_seconds(built.prices, steps, dealt, context, distinct)
                if length == 0:
                    undrafted[b, c] = dealt.mean(verify)
                if (b, c) in undrafted:
                    draft = closed_loop.draft_seconds(built.prices, steps, dealt, context, undrafted[b, c])
                    seconds[b, c, i] = closed_loop.durations(dealt, verify + draft).sum()
    asked = [every.index(length) for length in lengths]
    return {name: values[:, asked] for name, values in found.items()} | {
        "seconds": seconds[:, :, asked],
        "undrafted": seconds[:, :, 0],
    }


def per_slot(built: Built, batch: int) -> int:
    """Requests per slot: PER_SLOT, or as many as there are."""
    return max(1, min(PER_SLOT, built.requests // batch))


def _emitted(steps: Steps, dealt: closed_loop.Batches) -> int:
    """Tokens of all groups, the steps left over included: the same at every length."""
    return int(steps.emitted[: dealt.steps.sum()].sum())


def cells(built: Built, blocks: Arrays) -> list[dict[str, Any]]:
    """A row per batch x context x draft length from the arrays of all worlds; cells that cannot be walked are null.

    speedup = tokens_per_step x step_seconds(0) / step_seconds exactly, as on the surface.
    """
    rows = []
    for b, batch in enumerate(built.batches):
        for c, context in enumerate(built.contexts):
            for i, length in enumerate(built.lengths):
                row: dict[str, Any] = {"batch": batch, "context_tokens": context, "draft_length": length}
                spent, steps = blocks["seconds"][:, b, c, i], blocks["steps"][:, b, i].sum()
                if np.all(np.isfinite(spent)):
                    odds = closed_loop.odds(blocks["undrafted"][:, b, c, None], spent[:, None])
                    row |= {
                        "tokens_per_step": blocks["tokens"][:, b, i].sum() / steps,
                        "step_seconds": batch * spent.sum() / steps,
                        "speedup": odds.speedup,
                        "speedup_se": odds.error,
                        "p_loss": odds.p_loss,
                        "distinct_experts": blocks["distinct"][:, b, i].mean(),
                    }
                rows.append(row)
    return rows
