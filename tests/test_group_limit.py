"""Group-limited routing: the law of the distinct experts of a few tokens, against enumeration."""

from collections import Counter
from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest

from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from montecarlo.routing import Routing, sample

REQUESTS = 10_000


def token_law(shares: np.ndarray, top_k: int, size: int, top_groups: int) -> dict[frozenset[int], float]:
    """Probability of every set of experts one token may choose, draw by draw."""
    law: Counter[frozenset[int]] = Counter()

    def draw(chosen: tuple[int, ...], probability: float) -> None:
        if len(chosen) == top_k:
            law[frozenset(chosen)] += probability
            return
        open_groups = {expert // size for expert in chosen}
        full = len(open_groups) == top_groups
        allowed = [e for e in range(len(shares)) if e not in chosen and (not full or e // size in open_groups)]
        for expert in allowed:
            draw((*chosen, expert), probability * shares[expert] / shares[allowed].sum())

    draw((), 1.0)
    return law


@pytest.mark.parametrize(
    ("experts", "groups", "top_groups", "top_k", "tokens"),
    [(4, 2, 1, 2, 3), (6, 3, 2, 3, 2), (6, 3, 1, 2, 2), (8, 4, 2, 3, 2)],
)
@pytest.mark.parametrize("skewed", [False, True])
def test_distinct_experts_follow_the_enumerated_law(experts, groups, top_groups, top_k, tokens, skewed):
    shares = np.arange(1.0, experts + 1) if skewed else np.ones(experts)
    single = token_law(shares, top_k, experts // groups, top_groups)
    law: Counter[int] = Counter()
    for sets in product(single.items(), repeat=tokens):
        law[len(frozenset().union(*(s for s, _ in sets)))] += np.prod([p for _, p in sets])
    process = Routing.of(popularity=shares[None], top_k=top_k).limited(groups, top_groups)
    drawn = sample(process, key(5, 0, Stream.TEXT), jnp.full(REQUESTS, tokens), tokens=tokens, requests=REQUESTS)
    drawn = np.asarray(drawn)[:, :, :, 0]  # [tokens, top_k, requests]
    used = np.sort(drawn // (experts // groups), axis=1)
    assert (1 + (np.diff(used, axis=1) > 0).sum(axis=1)).max() == top_groups
    found = Counter(len(set(column)) for column in drawn.reshape(-1, REQUESTS).T.tolist())
    assert set(found) == set(law)
    for count, probability in law.items():
        error = np.sqrt(probability * (1 - probability) / REQUESTS)
        assert abs(found[count] / REQUESTS - probability) <= 4 * error, f"{count}: {probability:.4f}, error {error:.4f}"


def test_a_limit_of_all_groups_is_none():
    process = Routing.of(popularity=np.ones((2, 8)), top_k=3)
    arguments = (key(0, 0, Stream.TEXT), jnp.full(50, 4))
    free = sample(process, *arguments, tokens=4, requests=50)
    assert np.array_equal(free, sample(process.limited(4, 4), *arguments, tokens=4, requests=50))


def test_stickiness_survives_the_limit():
    """Full stickiness keeps the first token's experts, which already lie in the allowed groups."""
    process = Routing.of(popularity=np.ones((1, 32)), top_k=4, stickiness=1.0).limited(8, 2)
    drawn = np.asarray(sample(process, key(1, 0, Stream.TEXT), jnp.full(100, 6), tokens=6, requests=100))
    assert np.array_equal(np.sort(drawn, axis=1), np.broadcast_to(np.sort(drawn[:1], axis=1), drawn.shape))


@pytest.mark.parametrize(("groups", "top_groups"), [(3, 1), (4, 0), (4, 5), (8, 2), (64, 64)])
def test_impossible_limits_are_refused(groups, top_groups):
    with pytest.raises(InputError, match="groups"):
        Routing.of(popularity=np.ones((1, 16)), top_k=5).limited(groups, top_groups)
