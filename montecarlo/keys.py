"""Randomness as a function of (seed, world, stream) and, inside a stream, of position.

    key(seed, world, stream) -> fold in token, round or step -> one word per (request, layer)

JAX's threefry is counter based: with the partitionable layout (the default since JAX 0.5) word i of an
array depends on the key and on i alone, so an array grown along its first axis keeps its beginning
(JAX enhancement proposal 263, https://docs.jax.dev/en/latest/jep/263-prng.html). All arrays of random
words here have the request as first axis. Nothing depends on order, chunk or worker.
"""

from enum import IntEnum

import jax
import jax.numpy as jnp
import numpy as np


class Stream(IntEnum):
    """What a random number is for; two streams of one world are independent."""

    RUN = 1
    TEXT = 2
    ORDER = 3
    START = 4
    ELSEWHERE = 5
    BOOTSTRAP = 6
    SPLIT = 7
    PRICES = 8
    UNKNOWN = 11
    INNER = 12
    MEASUREMENT = 13


def key(seed: int | jax.Array, world: int | jax.Array, stream: Stream) -> jax.Array:
    """The JAX key of one stream of one world."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(jnp.uint32(seed)), world), int(stream))


def generator(seed: int, world: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """The NumPy generator of one stream of one world (and one step in it), for choices made on the host."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, world, int(stream), step))))


def unit(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform float32 numbers in [0, 1) on the grid of 2**-24."""
    words = jax.random.bits(key, shape) >> jnp.uint32(8)
    return words.astype(jnp.float32) * jnp.float32(2.0**-24)
