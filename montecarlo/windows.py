"""The windows a walk verifies, and the distinct experts of those that are verified together.

A window is the last emitted token and the drafts of the step. Accepted drafts are the text itself; what rejected ones
load is the stated assumption `tail`, as in the surface:

    request    another place of the same request (default)
    text       the same text went on: as if they had been accepted
    anywhere   any place of any request

The other place is a function of (seed, world, request, token): every policy that stops there sees the same one.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from montecarlo import coverage
from montecarlo.keys import Stream, key, unit
from montecarlo.surface import Recording
from montecarlo.text import Text
from montecarlo.walk import Steps

CHUNK = 1 << 12  # steps whose places are drawn at once: one compiled shape
UNION_BYTES = 1 << 18  # bitsets of a block of unions, which stay in the cache while members are added


def rows(steps: Steps, text: Text, *, tail: str, seed: int, world: int) -> NDArray[np.int64]:
    """Token rows [steps, longest draft + 1] of each step's window; -1 past its drafts."""
    depth = np.arange(int(steps.drafted.max(initial=0)) + 1)
    request, position = steps.request[:, None], steps.position[:, None]
    found = text.start[request] + position + depth
    if tail != "text":
        draws = places(seed, world, steps.request, steps.position)
        other = request if tail == "request" else (draws[:, 1:] * text.requests).astype(np.int64)
        first = (draws[:, :1] * text.lengths[other]).astype(np.int64)
        rejected = depth - steps.accepted[:, None] - 1
        found = np.where(rejected >= 0, text.positions(other, first, np.maximum(rejected, 0)), found)
    return np.where(depth <= steps.drafted[:, None], found, -1)


def places(seed: int, world: int, request: np.ndarray, position: np.ndarray) -> NDArray[np.float64]:
    """Two uniform numbers [steps, 2] in [0, 1) for each (request, position) [steps]: a place, and whose."""
    stream, found = key(seed, world, Stream.ELSEWHERE), []
    for low in range(0, len(request), CHUNK):
        which = np.zeros((2, CHUNK), np.uint32)
        given = np.stack([request[low : low + CHUNK], position[low : low + CHUNK]])
        which[:, : given.shape[1]] = given
        found.append(np.asarray(_places(stream, which[0], which[1]))[: given.shape[1]])
    return np.concatenate([np.zeros((0, 2)), *found])


@jax.jit
def _places(stream: jax.Array, request: jax.Array, position: jax.Array) -> jax.Array:
    def one(request: jax.Array, position: jax.Array) -> jax.Array:
        return unit(jax.random.fold_in(jax.random.fold_in(stream, request), position), (2,))

    return jax.vmap(one)(request, position)


def held(recording: Recording, rows: NDArray[np.int64]) -> tuple[jax.Array, NDArray[np.int64]]:
    """(pool, rows of it): the recording's own bitsets, or, where it keeps none, those of the tokens in `rows`."""
    if recording.pool is not None:
        return recording.pool, rows
    used, where = np.unique(np.append(rows, -1), return_inverse=True)  # -1 is the first
    parts = []
    for low in range(0, len(used) - 1, CHUNK):
        chunk = np.full(CHUNK, -1)
        chunk[: len(used) - 1 - low] = used[1 + low :][:CHUNK]
        packed = _packed(recording.text.rows(chunk).transpose(2, 0, 1), count=recording.experts)
        parts.append(np.asarray(packed))
    size = 1 << len(used).bit_length()  # few shapes to compile; the rows added are empty, as the last must be
    pool = np.zeros((size, *parts[0].shape[1:]), np.uint32)
    pool[: len(used) - 1] = np.concatenate(parts)[: len(used) - 1]
    return jnp.asarray(pool), where[:-1].reshape(rows.shape) - 1


@partial(jax.jit, static_argnames="count")
def _packed(experts: jax.Array, *, count: int) -> jax.Array:
    return coverage.bitsets(experts, count)


def distinct(pool: jax.Array, windows: NDArray[np.int64], at: NDArray[np.int64], block: int = 0) -> NDArray[np.uint16]:
    """Distinct experts [batches, layers] of the batches that verify the steps `at` [batches, slots] together.

    pool [tokens + 1, words, layers], the last empty, and windows [steps, width], rows of it: see `held`. block: batches
    done at once (0: as many as fit in the cache); it changes nothing else.
    """
    batches, members = len(at), at.shape[1] * windows.shape[1]
    block = block or max(8, UNION_BYTES // (4 * int(np.prod(pool.shape[1:]))))
    padded = 1 << (members - 1).bit_length()  # few shapes to compile; the rows added are not read
    held = np.where(windows < 0, len(pool) - 1, windows).astype(np.int32)
    found = [np.zeros((0, pool.shape[2]), np.uint16)]
    for low in range(0, batches, block):
        these = held[at[low : low + block]].reshape(-1, members)
        given = np.full((padded, block), len(pool) - 1, np.int32)
        given[:members, : len(these)] = these.T
        found.append(np.asarray(_united(pool, given, members))[: len(these)])
    return np.concatenate(found)


@jax.jit
def _united(pool: jax.Array, members: jax.Array, count: int) -> jax.Array:
    """Bits set [block, layers] in the OR of the first `count` of `members` [padded, block]."""

    def add(member: jax.Array, union: jax.Array) -> jax.Array:
        return union | pool[members[member]]

    union = jax.lax.fori_loop(0, count, add, jnp.zeros((members.shape[1], *pool.shape[1:]), jnp.uint32))
    return jnp.sum(jax.lax.population_count(union), axis=1).astype(jnp.uint16)
