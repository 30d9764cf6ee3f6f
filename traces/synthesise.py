"""Write texts: whole requests of any length from a routing process.

The same law and the same sampler as the windows of a study (montecarlo/routing.py): a window is the beginning of a
request, and a section is as likely to end at any token. Requests are sampled 64 at a time, each block with a key of
its own, so more requests or more tokens leave what is there as it is.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from montecarlo.routing import Routing, sample

BLOCK = 64  # requests; part of the law of the random numbers, not a matter of speed


def synthesise(routing: Routing, requests: int, tokens: int, seed: int) -> Iterator[np.ndarray]:
    """Yield experts [up to 64 requests, tokens, layers, top_k] (uint8 up to 256 experts, else uint16), in order."""
    if min(requests, tokens) < 1 or seed < 0:
        raise InputError(f"{requests} requests of {tokens} tokens, seed {seed}: 1 or more of each, and no seed below 0")
    kind = np.uint8 if routing.accept.shape[1] <= 256 else np.uint16
    never = jnp.full(BLOCK, tokens, jnp.int32)
    for block, first in enumerate(range(0, requests, BLOCK)):
        experts = sample(routing, key(seed, block, Stream.TEXT), never, tokens=tokens, requests=BLOCK)
        yield np.asarray(experts).astype(kind).transpose(2, 0, 3, 1)[: requests - first]
