"""The exact laws against enumeration, closed forms and published columns."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import exact
from montecarlo.errors import InputError
from traces import profiles
from traces.fit import power_popularity, skew_of

SHAPES = [(8, 2), (32, 4), (60, 6), (128, 8), (256, 6), (5, 1), (4, 4)]


def _inclusion_by_enumeration(shares: np.ndarray, top_k: int) -> np.ndarray:
    """P(e in token) as a sum over every ordered choice of top_k experts."""
    included = np.zeros(len(shares))
    for order in permutations(range(len(shares)), top_k):
        chance, left = 1.0, shares.sum()
        for expert in order:
            chance *= shares[expert] / left
            left -= shares[expert]
        included[list(order)] += chance
    return included


@pytest.mark.parametrize(("experts", "top_k", "tokens"), [(5, 2, 3), (4, 3, 3), (6, 1, 4)])
def test_distinct_pmf_is_the_share_of_all_equally_likely_texts(experts: int, top_k: int, tokens: int) -> None:
    choices = [set(choice) for choice in combinations(range(experts), top_k)]
    counted = np.zeros(experts + 1)
    for text in product(choices, repeat=tokens):
        counted[len(set().union(*text))] += 1
    np.testing.assert_allclose(exact.distinct_pmf(experts, top_k, tokens)[tokens], counted / counted.sum(), atol=1e-13)


@pytest.mark.parametrize(("experts", "top_k"), SHAPES)
def test_distinct_pmf_has_the_closed_forms_of_mean_and_variance(experts: int, top_k: int) -> None:
    tokens = np.arange(70)
    pmf, value = exact.distinct_pmf(experts, top_k, 69), np.arange(experts + 1)
    one = (1 - top_k / experts) ** tokens  # an expert is missing
    two = ((experts - top_k) * (experts - top_k - 1) / (experts * max(experts - 1, 1))) ** tokens
    missing = experts * one
    mean = pmf @ value
    np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(mean, experts - missing, atol=1e-9)
    variance = missing + experts * (experts - 1) * two - missing**2
    np.testing.assert_allclose(pmf @ value**2 - mean**2, variance, atol=1e-7)
    np.testing.assert_allclose(exact.mean_distinct(experts, top_k, tokens), mean, atol=1e-9)


def test_mean_distinct_is_the_published_uniform_column() -> None:
    """Uniform column of the gpt-oss-20b window table (32 experts, top-4), n = 1, 2, 4, 8, 16, 32."""
    found = exact.mean_distinct(32, 4, np.array([1, 2, 4, 8, 16, 32]))
    np.testing.assert_allclose(found, [4.00, 7.50, 13.24, 21.00, 28.22, 31.55], atol=0.0051)


@pytest.mark.parametrize("top_k", [1, 2, 3, 5, 6])
def test_inclusion_equals_enumeration(top_k: int) -> None:
    shares = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    truth = _inclusion_by_enumeration(shares, top_k)
    np.testing.assert_allclose(exact.inclusion(shares, top_k), truth, rtol=1e-7)
    assert top_k in (1, 6) or np.max(np.abs(top_k * shares - truth)) > 0.05  # the shortcut top_k p is not it


@given(
    weights=st.lists(st.floats(1e-2, 10), min_size=2, max_size=40),
    data=st.data(),
)
def test_inclusion_is_a_law_of_top_k_experts(weights: list[float], data: st.DataObject) -> None:
    """It sums to top_k, keeps the order of the shares, and does not depend on their scale or order."""
    shares = np.array(weights)
    top_k = data.draw(st.integers(1, len(shares)))
    found = exact.inclusion(shares, top_k)
    assert np.all((found > 0) & (found <= 1 + 1e-7))
    np.testing.assert_allclose(found.sum(), top_k, rtol=1e-6)
    assert np.all(np.diff(found[np.argsort(shares)]) >= -1e-7)
    np.testing.assert_allclose(exact.inclusion(3 * shares[::-1], top_k), found[::-1], rtol=1e-6)


@given(st.integers(2, 64), st.data())
def test_inclusion_of_equal_shares_is_uniform(experts: int, data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, experts))
    np.testing.assert_allclose(exact.inclusion(np.ones(experts), top_k), top_k / experts, rtol=1e-7)


def test_popular_mean_distinct_equals_enumeration() -> None:
    """Two and three tokens of two of five experts, every pair of ordered choices."""
    shares = np.array([0.5, 0.25, 0.12, 0.08, 0.05])
    sets: dict[frozenset[int], float] = {}
    for first, second in permutations(range(5), 2):
        chosen = frozenset((first, second))
        sets[chosen] = sets.get(chosen, 0.0) + shares[first] * shares[second] / (1 - shares[first])
    for tokens in (1, 2, 3):
        truth = sum(
            np.prod([sets[token] for token in text]) * len(frozenset().union(*text))
            for text in product(sets, repeat=tokens)
        )
        assert exact.popular_mean_distinct(shares, 2, tokens) == pytest.approx(truth, rel=1e-7)


def test_inclusion_is_not_top_k_times_the_share() -> None:
    """At Zipf 1.0, 256 experts and top-8 the shortcut min(1, top_k p) misses 8 of 179 experts; skew costs more."""
    shares = 1 / np.arange(1, 257)
    tokens = np.arange(1, 129)
    true = exact.popular_mean_distinct(shares, 8, tokens)
    shortcut = 1 - np.minimum(8 * shares / shares.sum(), 1)
    at = int(np.argmin(np.abs(true - 179)))
    assert true[at] - np.sum(1 - shortcut ** tokens[at]) > 8
    assert exact.mean_distinct(256, 8, tokens[at]) - true[at] > 50


def test_shipped_popularity_gives_the_published_popularity_column() -> None:
    """Popularity column of the gpt-oss-20b window table, n = 1, 2, 4, 8, 16, 32, from one skew per layer."""
    skews = profiles.load("gpt-oss-20b-popularity").numbers["skew"]
    tokens = np.array([1, 2, 4, 8, 16, 32])
    found = np.mean([exact.popular_mean_distinct(power_popularity(skew, 32), 4, tokens) for skew in skews], axis=0)
    np.testing.assert_allclose(found, [4.00, 7.24, 12.07, 17.85, 23.00, 26.55], rtol=0.015)


@pytest.mark.parametrize("inverse_simpson", [12.0, 26.8])
def test_skew_of_inverts_the_inverse_simpson_index(inverse_simpson: float) -> None:
    shares = exact.inclusion(power_popularity(skew_of(inverse_simpson, 32, 4), 32), 4) / 4
    assert 1 / np.sum(shares**2) == pytest.approx(inverse_simpson, rel=1e-3)


@pytest.mark.parametrize(("experts", "top_k"), [(8, 8), (8, 2), (64, 1), (256, 6)])
def test_beyond_saturation_the_law_no_longer_changes(experts: int, top_k: int) -> None:
    enough = exact.saturation(experts, top_k)
    law = exact.distinct_pmf(experts, top_k, enough + 50)
    np.testing.assert_allclose(law[enough:], np.broadcast_to(np.eye(experts + 1)[-1], law[enough:].shape), atol=2e-12)
    if top_k < experts:
        assert 1 - law[enough // 2, experts] > 1e-9  # and half as many tokens are not enough


@pytest.mark.parametrize(
    ("experts", "top_k", "skew"), [(32, 4, 2.1), (256, 8, 1.5), (6, 5, 0.4), (5, 5, 1.0), (7, 1, 2.0)]
)
def test_weights_give_back_the_shares_row_by_row(experts: int, top_k: int, skew: float) -> None:
    """Shares of known weights, two rows of their own; the weights come back (all of them in a token: any do)."""
    known = np.stack([power_popularity(value, experts) for value in (skew, skew / 2)])
    shares = exact.inclusion(known, top_k) / top_k
    np.testing.assert_allclose(exact.inclusion(known[1], top_k), top_k * shares[1], rtol=1e-12)
    found = exact.weights(100 * shares, top_k)
    np.testing.assert_allclose(exact.inclusion(found, top_k) / top_k, shares, rtol=2e-6)
    if top_k < experts:
        np.testing.assert_allclose(found, known, rtol=2e-5)


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.4, 0.6, 0.0], [np.nan, 0.5, 0.5]])
def test_shares_no_weights_can_give_are_refused(shares: list[float]) -> None:
    with pytest.raises(InputError, match=r"above 0 and below 0\.5"):
        exact.weights(np.array(shares), 2)
