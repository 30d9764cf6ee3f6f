"""The routing sampler against exact laws, and against the documented process in plain Python."""

from itertools import permutations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import exact
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator, key
from montecarlo.routing import Routing, alias_table
from tests.slow_routing import REQUESTS, agree, count_distinct, draw, slow_texts
from tests.statistics import all_within, mean_and_error, refused, within
from traces.fit import power_popularity


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample variance and its standard error, from the sample's own fourth moment."""
    centred = values - values.mean(axis=0)
    variance, fourth = values.var(axis=0, ddof=1), np.mean(centred**4, axis=0)
    return variance, np.sqrt((fourth - variance**2) / len(values))


@pytest.fixture(scope="module")
def uniform() -> np.ndarray:
    """Distinct experts [lanes, windows] of uniform routing, 32 experts, top-4; a lane is a layer of a request."""
    process = Routing.of(popularity=np.ones((10, 32)), top_k=4)
    sampled = count_distinct(draw(process, tokens=10, requests=REQUESTS // 10), 32)
    return sampled.transpose(0, 2, 1).reshape(REQUESTS, 10)


def test_uniform_routing_has_the_exact_mean_and_variance(uniform: np.ndarray) -> None:
    pmf, value = exact.distinct_pmf(32, 4, 10)[1:], np.arange(33)
    mean = pmf @ value
    variance = pmf @ value**2 - mean**2
    fourth = np.array([p @ (value - m) ** 4 for p, m in zip(pmf, mean, strict=True)])
    all_within(uniform.mean(axis=0), mean, np.sqrt(np.maximum(variance, 0) / REQUESTS), largest=0.02)
    spread = np.sqrt(np.maximum(fourth - variance**2, 0) / REQUESTS)
    all_within(uniform.var(axis=0)[1:], variance[1:], spread[1:], largest=0.05)


def test_uniform_routing_is_told_from_a_slight_skew(uniform: np.ndarray) -> None:
    mean, error = mean_and_error(uniform)
    skewed = exact.popular_mean_distinct(power_popularity(0.2, 32), 4, np.arange(1, 11))
    refused(all_within, mean, skewed, error, largest=0.02)


def test_popularity_has_the_exact_mean() -> None:
    """Two layers of their own skew, 32 experts, top-4; each refuses the other's law."""
    shares = np.stack([power_popularity(skew, 32) for skew in (1.0, 2.1)])
    sampled = count_distinct(draw(Routing.of(popularity=shares, top_k=4), tokens=8, requests=REQUESTS), 32)
    mean, error = mean_and_error(sampled)
    law = np.stack([exact.popular_mean_distinct(row, 4, np.arange(1, 9)) for row in shares], axis=1)
    all_within(mean, law, error, largest=0.02)
    refused(all_within, mean, law[:, ::-1], error, largest=0.02)
    shortcut = 1 - np.minimum(4 * shares, 1)  # inclusion is not top_k p
    naive = np.stack([np.sum(1 - shortcut**n, axis=1) for n in range(1, 9)])
    refused(all_within, mean[1:], naive[1:], error[1:], largest=0.02)


def test_popularity_has_the_mean_and_variance_of_enumeration() -> None:
    """Six experts, top-2: the union of the window as a Markov chain over all 64 sets."""
    shares = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    step = np.zeros((64, 64))
    for first, second in permutations(range(6), 2):
        chance = shares[first] * shares[second] / (1 - shares[first])
        for union in range(64):
            step[union, union | 1 << first | 1 << second] += chance
    size = np.array([bin(union).count("1") for union in range(64)])
    law, mean, variance = np.eye(64)[0], [], []
    for _ in range(5):
        law = law @ step
        mean.append(law @ size)
        variance.append(law @ size**2 - mean[-1] ** 2)
    process = Routing.of(popularity=shares[None], top_k=2)
    sampled = count_distinct(draw(process, tokens=5, requests=REQUESTS), 6)[..., 0]
    observed, error = mean_and_error(sampled)
    all_within(observed, mean, error, largest=0.01)
    spread, spread_error = _moments(sampled[:, 1:])
    all_within(spread, variance[1:], spread_error, largest=0.01)
    refused(all_within, spread, np.array(variance[1:]) * 1.1, spread_error, largest=0.01)


def test_first_slot_follows_popularity() -> None:
    shares = power_popularity(1.5, 12)
    first = draw(Routing.of(popularity=shares[None], top_k=3), tokens=1, requests=REQUESTS)[0, 0, :, 0]
    observed = np.bincount(first, minlength=12) / REQUESTS
    error = np.sqrt(shares * (1 - shares) / REQUESTS)
    all_within(observed, shares, error, largest=0.005)
    refused(all_within, observed, power_popularity(1.2, 12), error, largest=0.005)


@pytest.mark.parametrize(
    ("experts", "top_k", "skew", "concentration", "other"),
    [(8, 2, 0.0, 4.0, 4.6), (32, 4, 2.1, 7.8, 8.6)],
    ids=["small", "gpt-oss-20b layer 12"],
)
def test_topics_equal_explicit_dirichlet_requests(
    experts: int, top_k: int, skew: float, concentration: float, other: float
) -> None:
    """The Polya urn against requests that hold their own q ~ Dirichlet(c p); another concentration is refused."""
    shares = power_popularity(skew, experts)

    def observed(value: float) -> np.ndarray:
        process = Routing.of(popularity=shares[None], top_k=top_k, concentration=value)
        return count_distinct(draw(process, tokens=8, requests=REQUESTS), experts)[..., 0]

    truth = count_distinct(slow_texts(1, 12_000, shares, top_k, 8, concentration=concentration), experts)[..., 0]
    agree(observed(concentration), truth, largest=0.035)
    refused(agree, observed(other), truth, largest=0.035)
    refused(agree, observed(np.inf), truth, largest=0.035)


def test_stickiness_equals_the_documented_process() -> None:
    """Two layers of their own stickiness; .03 more is refused in each."""
    shares, truths = power_popularity(1.0, 32), (0.25, 0.6)

    def observed(more: float) -> np.ndarray:
        process = Routing.of(popularity=np.stack([shares, shares]), top_k=4, stickiness=np.array(truths) + more)
        return count_distinct(draw(process, tokens=5, requests=REQUESTS), 32)

    sampled, off = observed(0.0), observed(0.03)
    for layer, stickiness in enumerate(truths):
        truth = count_distinct(slow_texts(2 + layer, 6000, shares, 4, 5, stickiness=stickiness), 32)[..., 0]
        agree(sampled[..., layer], truth, largest=0.04)
        refused(agree, off[..., layer], truth, largest=0.04)


def test_full_stickiness_keeps_every_expert() -> None:
    process = Routing.of(popularity=np.ones((2, 16)), top_k=3, stickiness=1.0)
    experts = draw(process, tokens=6, requests=50)
    np.testing.assert_array_equal(experts, np.broadcast_to(experts[:1], experts.shape))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_tail_starts_afresh_in_its_own_place(elsewhere: bool) -> None:
    """From the break on: no stickiness across it, the same topic in the same request, a new one elsewhere."""
    shares = power_popularity(1.0, 16)
    given = {"concentration": 10.0, "stickiness": 0.4}
    process = Routing.of(popularity=shares[None], top_k=3, **given)

    def observed(where: bool) -> np.ndarray:
        experts = draw(process, tokens=6, requests=REQUESTS, break_at=3, elsewhere=where)
        return count_distinct(experts, 16)[..., 0]

    slow = slow_texts(5, 8000, shares, 3, 6, break_at=3, elsewhere=elsewhere, **given)
    truth = count_distinct(slow, 16)[..., 0]
    agree(observed(elsewhere), truth, largest=0.04)
    refused(agree, observed(not elsewhere), truth, largest=0.04)


def test_a_tail_elsewhere_overlaps_less_and_the_text_before_it_is_untouched() -> None:
    process = Routing.of(popularity=np.ones((1, 16)), top_k=3, concentration=10.0, stickiness=0.4)
    plain = draw(process, tokens=6, requests=4000)
    same = draw(process, tokens=6, requests=4000, break_at=3)
    other = draw(process, tokens=6, requests=4000, break_at=3, elsewhere=True)
    np.testing.assert_array_equal(same[:3], plain[:3])
    np.testing.assert_array_equal(other[:3], plain[:3])
    sizes = [count_distinct(experts, 16)[:, -1, 0] for experts in (plain, same, other)]
    for nearer, farther in ((0, 1), (1, 2)):
        more, error = mean_and_error(sizes[farther] - sizes[nearer])
        assert more > 0
        refused(within, more, 0.0, error, largest=0.05)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize(
    ("experts", "top_k", "concentration", "stickiness"),
    [(8, 4, 5.0, 0.5), (33, 1, 20.0, 0.99), (300, 4, np.inf, 0.5)],
)
def test_every_token_holds_distinct_experts_in_range(
    experts: int, top_k: int, concentration: float, stickiness: float, elsewhere: bool
) -> None:
    process = Routing.of(
        popularity=power_popularity(1.0, experts)[None],
        top_k=top_k,
        concentration=concentration,
        stickiness=stickiness,
    )
    sampled = draw(process, tokens=4, requests=40, break_at=2, elsewhere=elsewhere)
    assert sampled.shape == (4, top_k, 40, 1)
    assert sampled.min() >= 0
    assert sampled.max() < experts
    assert np.all(np.diff(np.sort(sampled, axis=1), axis=1) > 0)


@pytest.mark.parametrize("section", [np.inf, 8.0])
@pytest.mark.parametrize(("concentration", "elsewhere"), [(np.inf, False), (5.0, False), (5.0, True)])
def test_more_tokens_and_requests_leave_earlier_ones_as_they_were(
    concentration: float, elsewhere: bool, section: float
) -> None:
    shares = power_popularity(1.5, 24)
    process = Routing.of(
        popularity=np.stack([shares] * 3),
        top_k=3,
        concentration=concentration,
        background=0.1,
        section_concentration=section,
        section_tokens=3.0,
        stickiness=0.3,
    )
    small = draw(process, tokens=4, requests=30, break_at=2, elsewhere=elsewhere)
    large = draw(process, tokens=9, requests=130, break_at=2, elsewhere=elsewhere)
    np.testing.assert_array_equal(large[:4, :, :30], small)
    assert not np.array_equal(large[:4, :, 30:60], small)


def test_worlds_layers_and_streams_differ() -> None:
    process = Routing.of(popularity=np.ones((3, 64)), top_k=4)
    worlds = [draw(process, tokens=3, requests=64, world=world) for world in range(3)]
    np.testing.assert_array_equal(worlds[0], draw(process, tokens=3, requests=64))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(worlds[one] == worlds[other]) < 0.05
        assert np.mean(worlds[0][..., one] == worlds[0][..., other]) < 0.05
    names = [(seed, world, stream) for seed in (0, 1) for world in (0, 1) for stream in Stream]
    keys = {tuple(np.asarray(jax.random.key_data(key(*name))).tolist()) for name in names}
    assert len(keys) == len(names)
    assert len({generator(*name, step).random() for name in names for step in (0, 1)}) == 2 * len(names)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=300))
def test_alias_tables_hold_the_shares(weights: list[float]) -> None:
    shares = np.array(weights) / np.sum(weights)
    accept, alias = alias_table(shares)
    mass = accept.copy()
    np.add.at(mass, alias, 1 - accept)
    np.testing.assert_allclose(mass / len(shares), shares, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"popularity": np.zeros((2, 8))}, "positive, finite shares"),
        ({"popularity": np.ones(8)}, "layers, experts"),
        ({"top_k": 9}, "top_k is 9 of 8 experts"),
        ({"top_k": 0}, "top_k is 0 of 8 experts"),
        ({"popularity": [[1.0] + [1e-7] * 7]}, "popularity leaves less than"),
        ({"concentration": 0.0}, "concentration must be positive.* 0"),
        ({"concentration": np.nan}, "concentration must be positive.* nan"),
        ({"stickiness": 1.2}, "stickiness is 1.2"),
        ({"stickiness": -0.1}, "stickiness is -0.1"),
        ({"stickiness": np.nan}, "stickiness"),
        ({"background": 1.5}, "background is 1.5"),
        ({"section_concentration": 0.1}, "section_concentration must be positive.* 0.1"),
        ({"section_tokens": 0.5}, "section_tokens is 0.5"),
        ({"section_tokens": np.nan}, "section_tokens is nan"),
    ],
)
def test_routing_faults_are_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Routing.of(**{"popularity": np.ones((2, 8)), "top_k": 2, **changed})
