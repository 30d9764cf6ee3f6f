"""Distinct experts of verify windows: unions of bitsets, for every batch and draft length at once.

    union(batch, k) = OR over the sequences of the batch, over positions 0..k, of each token's experts

Every shorter draft is a prefix of the window and every batch a disjoint group of the same requests, so one
set of windows holds the whole surface. The depth scan is done once, on single sequences; a batch is then the
OR of groups already formed for a smaller one where it divides them (a tree of ORs).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np


def groups(requests: int, batches: Sequence[int]) -> list[int]:
    """Number of disjoint groups of each batch among `requests` sequences."""
    return [requests // batch for batch in batches]


def group_slices(requests: int, batches: Sequence[int]) -> list[slice]:
    """Where each batch's groups lie along the group axis of `count`."""
    ends = np.cumsum([0, *groups(requests, batches)])
    return [slice(int(low), int(high)) for low, high in pairwise(ends)]


def bitsets(experts: jax.Array, count: int) -> jax.Array:
    """Bitsets [words, ...] (uint32) of `experts` [top_k, ...] (int32, -1: none), 32 of `count` experts a word."""
    words = -(-count // 32)
    word = jax.lax.broadcasted_iota(jnp.int32, (words, *experts.shape[1:]), 0)
    union = jnp.zeros(word.shape, jnp.uint32)
    for expert in experts:
        bit = jnp.uint32(1) << (expert & 31).astype(jnp.uint32)
        union = union | jnp.where((expert >> 5)[None] == word, bit[None], jnp.uint32(0))
    return union


@partial(jax.jit, static_argnames=("batches",))
def count(windows: jax.Array, *, batches: tuple[int, ...]) -> jax.Array:
    """Distinct experts [positions, groups, layers] (uint16) of `windows`.

    windows [positions, words, requests, layers] (uint32): the bitset of window position j of each request.
    Group g of batch B unites requests g B .. (g+1) B - 1; the groups of all `batches` (ascending) follow one
    another along the group axis. Which requests meet does not depend on what else is in `batches`.
    """

    def deeper(union: jax.Array, token: jax.Array) -> tuple[jax.Array, jax.Array]:
        union = union | token
        return union, union

    single = jax.lax.optimization_barrier(jax.lax.scan(deeper, jnp.zeros_like(windows[0]), windows)[1])
    formed = {1: single}  # batch -> unions [positions, words, groups, layers]
    counted = []
    for batch, size in zip(batches, groups(windows.shape[2], batches), strict=True):
        part = max(smaller for smaller in formed if batch % smaller == 0)
        if batch != part:
            parts = batch // part
            pieces = [formed[part][:, :, i : size * parts : parts] for i in range(parts)]
            formed[batch] = jax.lax.optimization_barrier(_or(pieces))
        members = jax.lax.population_count(formed[batch])
        counted.append(jnp.sum(members, axis=1, dtype=jnp.uint32).astype(jnp.uint16))
    return jnp.concatenate(counted, axis=1)


def _or(pieces: list[jax.Array]) -> jax.Array:
    """OR of equal pieces; a loop where there are many, since long unrolled chains are slow in XLA."""
    if len(pieces) <= 4:
        union = pieces[0]
        for piece in pieces[1:]:
            union = union | piece
        return union
    return jax.lax.reduce(jnp.stack(pieces), jnp.uint32(0), jax.lax.bitwise_or, (0,))
