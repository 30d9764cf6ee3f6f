"""The surface: random windows of many requests, from which every batch and draft length is read at once.

A window is the last emitted token (position 0) and the drafts after it (1..k). Drafts up to the run are the
text itself. Those after it were rejected and, being other tokens, load other experts; what they load is a
stated assumption, the tail:

    request    another place of the same request (default)
    text       the same text went on: as if they had been accepted
    anywhere   any place of any request

Exact for i.i.d. and by-depth acceptance, whose runs do not depend on where in the text they start.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from montecarlo import acceptance, coverage, routing
from montecarlo.keys import Stream, generator, key
from montecarlo.routing import Routing
from montecarlo.text import Text

TAILS = ("request", "text", "anywhere")


def runs(survival: np.ndarray, *, seed: int, world: int, requests: int, step: int = 0) -> jax.Array:
    """Runs [requests] (int32) of one step of one world, given survival [depths]."""
    return _runs(survival.astype(np.float32), np.uint32(seed), world, step, requests=requests)


@partial(jax.jit, static_argnames=("requests",))
def _runs(survival: jax.Array, seed: jax.Array, world: int, step: int, *, requests: int) -> jax.Array:
    return acceptance.sample(survival, jax.random.fold_in(key(seed, world, Stream.RUN), step), requests)


@partial(jax.jit, static_argnames=("batches", "tokens", "requests", "elsewhere"))
def _sampled(
    process: Routing,
    stream: jax.Array,
    break_at: jax.Array,
    *,
    batches: tuple[int, ...],
    tokens: int,
    requests: int,
    elsewhere: bool,
) -> jax.Array:
    experts = routing.sample(process, stream, break_at, tokens=tokens, requests=requests, elsewhere=elsewhere)
    return coverage.count(experts, partial(coverage.bitsets, count=process.accept.shape[1]), batches=batches)


def sampled(
    process: Routing,
    survival: np.ndarray,
    *,
    seed: int,
    world: int,
    requests: int,
    batches: tuple[int, ...],
    tail: str,
) -> np.ndarray:
    """Distinct experts [len(survival) + 1, groups, layers] (uint16) of one world of synthetic requests.

    `groups` is the axis of `coverage.count`.
    """
    tokens = len(survival) + 1
    if tail == "text":
        break_at = jnp.full(requests, tokens, jnp.int32)
    else:
        break_at = runs(survival, seed=seed, world=world, requests=requests) + 1
    counted = _sampled(
        process,
        key(seed, world, Stream.TEXT),
        break_at,
        batches=batches,
        tokens=tokens,
        requests=requests,
        elsewhere=tail == "anywhere",
    )
    return np.asarray(counted)


POOLED = 1 << 28  # bytes of bitsets up to which a recording is packed once and kept


@dataclass(frozen=True)
class Recording:
    """A recorded text of `experts` experts per layer, and its tokens as bitsets on the device.

    pool [tokens + 1, words, layers], the last empty; None where it would be larger than POOLED, as for a memory
    map of millions of tokens: then every world packs the rows it draws.
    """

    text: Text
    experts: int
    pool: jax.Array | None

    @classmethod
    def of(cls, text: Text, experts: int, block: int = 1 << 16, pooled: int = POOLED) -> "Recording":
        """Pack the experts of `text` (ids below `experts`) block by block, up to `pooled` bytes."""
        tokens, layers, _ = text.experts.shape
        if 4 * (tokens + 1) * -(-experts // 32) * layers > pooled:
            return cls(text, experts, None)
        pack = jax.jit(partial(coverage.bitsets, count=experts))
        parts = []
        for low in range(0, tokens, block):
            rows = np.asarray(text.experts[low : low + block], np.int32)
            parts.append(np.asarray(pack(jnp.asarray(rows.transpose(2, 0, 1)))))
        empty = np.zeros((1, *parts[0].shape[1:]), np.uint32)
        return cls(text, experts, jnp.asarray(np.concatenate([*parts, empty])))

    def count(self, positions: np.ndarray, batches: tuple[int, ...]) -> np.ndarray:
        """Distinct experts (`coverage.count`) of windows at token rows `positions` [positions, requests], -1: none."""
        if self.pool is None:
            rows = self.text.rows(positions).transpose(0, 3, 1, 2)
            return np.asarray(_packed(jnp.asarray(rows), count=self.experts, batches=batches))
        held = np.where(positions < 0, len(self.pool) - 1, positions)
        return np.asarray(_pooled(self.pool, jnp.asarray(held, jnp.int32), batches=batches))


@partial(jax.jit, static_argnames=("batches",))
def _pooled(pool: jax.Array, positions: jax.Array, *, batches: tuple[int, ...]) -> jax.Array:
    return coverage.count(positions, lambda at: pool[at], batches=batches)


@partial(jax.jit, static_argnames=("count", "batches"))
def _packed(rows: jax.Array, *, count: int, batches: tuple[int, ...]) -> jax.Array:
    return coverage.count(rows, partial(coverage.bitsets, count=count), batches=batches)


def replayed(
    recording: Recording,
    survival: np.ndarray,
    *,
    seed: int,
    world: int,
    step: int,
    requests: int,
    batches: tuple[int, ...],
    tail: str,
    replicate: int | None = None,
) -> np.ndarray:
    """Distinct experts [len(survival) + 1, groups, layers] (uint16) of one step of one world of recorded requests.

    The world draws `requests` of the recorded ones without replacement; every step of it places one window
    in each, at a uniform position. With a bootstrap `replicate` they are drawn from a resample (with
    replacement) of the recorded requests, the same for all worlds of the replicate.
    """
    text, depths = recording.text, np.arange(len(survival) + 1)[:, None]
    everyone = np.arange(text.requests)
    if replicate is not None:
        everyone = generator(seed, replicate, Stream.BOOTSTRAP).choice(everyone, text.requests)
    chosen = everyone[generator(seed, world, Stream.ORDER).permutation(text.requests)[:requests]]
    start, elsewhere = (
        generator(seed, world, Stream.START, step),
        generator(seed, world, Stream.ELSEWHERE, step),
    )

    def place(draw: np.random.Generator, request: np.ndarray) -> np.ndarray:
        return np.minimum((draw.random(requests) * text.lengths[request]).astype(np.int64), text.lengths[request] - 1)

    positions = text.positions(chosen, place(start, chosen), depths)
    if tail != "text":
        run = np.asarray(runs(survival, seed=seed, world=world, requests=requests, step=step))
        other = chosen if tail == "request" else elsewhere.integers(text.requests, size=requests)
        rejected = depths - run - 1
        tail_positions = text.positions(other, place(elsewhere, other), np.maximum(rejected, 0))
        positions = np.where(rejected >= 0, tail_positions, positions)
    return recording.count(positions, batches)
