"""Distinct experts of verify windows: unions of bitsets, for every batch and draft length at once.

    union(batch, k) = OR over the sequences of the batch, over positions 0..k, of each token's experts

Every shorter draft is a prefix of the window and every batch a disjoint group of the same requests, so one
set of windows holds the whole surface. The depth scan runs over single sequences; at each depth a batch is the
OR of groups already formed for a smaller one that divides it (a tree of ORs), while all of it is still in cache.
"""

from collections.abc import Callable, Sequence
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
    """Bitsets [requests, words, layers] (uint32) of `experts` [top_k, requests, layers] (int32, -1: none).

    Word w holds the experts 32 w .. 32 w + 31 of the `count` there are.
    """
    _, requests, layers = experts.shape
    word = jax.lax.broadcasted_iota(jnp.int32, (requests, -(-count // 32), layers), 1)
    union = jnp.zeros(word.shape, jnp.uint32)
    for expert in experts:
        bit = jnp.uint32(1) << (expert & 31).astype(jnp.uint32)
        union = union | jnp.where((expert >> 5)[:, None] == word, bit[:, None], jnp.uint32(0))
    return union


def count(tokens: jax.Array, bitset: Callable[[jax.Array], jax.Array], *, batches: tuple[int, ...]) -> jax.Array:
    """Distinct experts [positions, groups, layers] (uint16) of the windows whose position j is `tokens[j]`.

    tokens [positions, ...]; bitset(tokens[j]) is [requests, words, layers] (uint32). Group g of batch B unites
    requests g B .. (g+1) B - 1; the groups of all `batches` (ascending) follow one another along the group axis.
    Which requests meet does not depend on what else is in `batches`.
    """

    def deeper(union: jax.Array, token: jax.Array) -> tuple[jax.Array, jax.Array]:
        union = union | bitset(token)
        formed = {1: union}  # batch -> unions [groups, words, layers]
        counted = []
        for batch, size in zip(batches, groups(len(union), batches), strict=True):
            part = max(smaller for smaller in formed if batch % smaller == 0)
            if batch != part:
                formed[batch] = jax.lax.optimization_barrier(_or_runs(formed[part], batch // part, size))
            counted.append(_members(formed[batch]))
        return union, jnp.concatenate(counted)

    shape = jax.eval_shape(bitset, tokens[0]).shape
    return jax.lax.scan(deeper, jnp.zeros(shape, jnp.uint32), tokens)[1]


def _or_runs(unions: jax.Array, parts: int, size: int) -> jax.Array:
    """OR of each run of `parts` unions, for the first `size` runs."""
    runs = unions[: size * parts].reshape(size, parts, *unions.shape[1:])
    if parts > 4:  # long unrolled chains are slow in XLA
        return jax.lax.reduce(runs, jnp.uint32(0), jax.lax.bitwise_or, (1,))
    union = runs[:, 0]
    for part in range(1, parts):
        union = union | runs[:, part]
    return union


def _members(unions: jax.Array) -> jax.Array:
    """Bits set in all words of each union [groups, layers] (uint16); unrolled, since XLA reduces short axes slowly."""
    bits = jax.lax.population_count(unions)
    total = bits[:, 0]
    for word in range(1, unions.shape[1]):
        total = total + bits[:, word]
    return total.astype(jnp.uint16)
