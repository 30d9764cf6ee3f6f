"""The documented routing process in plain Python, and what its tests share: sampling, unions, agreement of the two."""

from bisect import bisect
from itertools import accumulate
from random import Random

import jax.numpy as jnp
import numpy as np

from montecarlo.keys import Stream, key
from montecarlo.routing import Routing, sample
from tests.statistics import all_within, mean_and_error

REQUESTS = 20_000  # lanes of the statistical tests


def draw(
    process: Routing,
    *,
    tokens: int,
    requests: int,
    world: int = 0,
    break_at: int | None = None,
    elsewhere: bool = False,
) -> np.ndarray:
    """Experts [tokens, top_k, requests, layers] of one world."""
    at = jnp.full(requests, tokens if break_at is None else break_at, jnp.int32)
    stream = key(0, world, Stream.TEXT)
    return np.asarray(sample(process, stream, at, tokens=tokens, requests=requests, elsewhere=elsewhere))


def count_distinct(experts: np.ndarray, count: int, first: int = 0) -> np.ndarray:
    """Distinct experts [requests, tokens - first, layers] of the windows from token `first` on."""
    seen = np.zeros((*experts.shape[2:], count), bool)
    sizes = []
    for token in experts[first:]:
        np.put_along_axis(seen, np.moveaxis(token, 0, -1), True, axis=-1)
        sizes.append(seen.sum(axis=-1))
    return np.stack(sizes, axis=1)


def _slow_request(
    rng: np.random.Generator,
    shares: np.ndarray,
    top_k: int,
    tokens: int,
    *,
    concentration: float = np.inf,
    background: float = 0.0,
    section_concentration: float = np.inf,
    section_tokens: float = np.inf,
    stickiness: float = 0.0,
    break_at: int | None = None,
    elsewhere: bool = False,
) -> list[list[int]]:
    """One request as the docstring of montecarlo/routing.py tells it, its popularities q and q' formed explicitly."""

    def own(strength: float, base: np.ndarray) -> np.ndarray:
        return base if np.isinf(strength) else rng.dirichlet(np.maximum(strength * base, 1e-200))

    def climb(base: np.ndarray) -> list[float]:
        return list(accumulate(background * shares + (1 - background) * base))

    topic = own(concentration, shares)
    ladder, text, previous = climb(own(section_concentration, topic)), [], []
    word = Random(int(rng.integers(1 << 32))).random
    for position in range(tokens):
        if position == break_at and elsewhere:
            topic = own(concentration, shares)
        if position == break_at or word() < 1 / section_tokens:
            ladder = climb(own(section_concentration, topic))
        fresh = position in (0, break_at)
        chosen: list[int] = []
        candidate = 0
        while len(chosen) < top_k:
            if not fresh and candidate < top_k and word() < stickiness:
                expert = previous[candidate]
            else:
                expert = min(bisect(ladder, word() * ladder[-1]), len(shares) - 1)
            if expert not in chosen:
                chosen.append(expert)
            candidate += 1
        text.append(chosen)
        previous = chosen
    return text


def slow_texts(seed: int, requests: int, shares: np.ndarray, top_k: int, tokens: int, **process: float) -> np.ndarray:
    """Experts [tokens, top_k, requests, 1] of independent slow requests."""
    rng = np.random.default_rng(seed)
    texts = [_slow_request(rng, shares, top_k, tokens, **process) for _ in range(requests)]
    return np.asarray(texts).transpose(1, 2, 0)[..., None]


def agree(observed: np.ndarray, reference: np.ndarray, largest: float) -> None:
    """Mean distinct experts of every window, sampler against reference (both [requests, windows])."""
    (mean, error), (truth, truth_error) = mean_and_error(observed), mean_and_error(reference)
    all_within(mean, truth, np.hypot(error, truth_error), largest=largest)
