"""Distinct experts in closed form: uniform routing, a published curve, and what is carried over to other models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.errors import InputError
from montecarlo.exact import mean_distinct
from montecarlo.overlap import Overlap
from tests.statistics import matches, mean_and_error, refused, within
from traces import profiles

QWEN = profiles.load("qwen3.6-35b-a3b")
# Published beside the popularity and not used: one token of each of n sequences (fergusfinn, WidthVsDepth.tsx).
WIDTH = {1: 8.0, 2: 15.36, 3: 22.15, 4: 28.5, 6: 39.94, 8: 50.08, 12: 67.3, 16: 81.54}


def test_uniform_routing_is_the_post_s_curve() -> None:
    found = Overlap.uniform(256, 6)
    batch, window = np.meshgrid(np.arange(1, 40), np.arange(1, 9), indexing="ij")
    np.testing.assert_allclose(found.distinct(batch, window), mean_distinct(256, 6, batch * window), rtol=1e-13)
    assert Overlap.uniform(4, 4).distinct(3, 2) == 4


def test_a_window_of_one_sequence_is_what_was_measured() -> None:
    found = profiles.overlap(QWEN, experts=256, top_k=8)
    np.testing.assert_allclose(found.distinct(1, QWEN.numbers["windows"]), QWEN.numbers["distinct"], rtol=1e-9)


def test_the_published_width_curve_follows_from_the_popularity() -> None:
    found, uniform = profiles.overlap(QWEN, experts=256, top_k=8), Overlap.uniform(256, 8)

    def predicts(law: Overlap) -> None:
        for sequences, measured in WIDTH.items():
            matches(float(law.distinct(sequences, 1)), measured, 0.0, relative=0.002, what=f"{sequences} sequences")

    predicts(found)
    refused(predicts, uniform)


def test_carried_over_to_gpt_oss_it_is_near_what_was_measured_there() -> None:
    """32 experts, top 4 (routing table of gpt-oss-20b: 6.24, 9.31, 12.88); uniform is 20 to 63 % off."""
    found, uniform = profiles.overlap(QWEN, experts=32, top_k=4), Overlap.uniform(32, 4)

    def predicts(law: Overlap) -> None:
        for window, measured in ((2, 6.24), (4, 9.31), (8, 12.88)):
            matches(float(law.distinct(1, window)), measured, 0.0, relative=0.02)

    predicts(found)
    refused(predicts, uniform)


def drawn(inclusion: np.ndarray, tokens: int, draws: int) -> np.ndarray:
    """Distinct experts of `tokens` independent tokens [draws]; systematic sampling has P(e) = inclusion exactly."""
    top_k, random = round(inclusion.sum()), np.random.default_rng(5)
    edges = np.cumsum(inclusion)
    counts = np.empty(draws)
    for draw in range(draws):
        touched = np.zeros(len(inclusion), bool)
        for _ in range(tokens):
            order = random.permutation(len(inclusion))
            edges = np.cumsum(inclusion[order])
            touched[order[np.searchsorted(edges, random.random() + np.arange(top_k))]] = True
        counts[draw] = touched.sum()
    return counts


def test_independent_tokens_touch_what_simulated_ones_do() -> None:
    law = profiles.overlap(QWEN, experts=64, top_k=6).without_depth()
    assert law.inclusion.sum() == pytest.approx(6)
    for tokens in (2, 7, 20):
        mean, error = mean_and_error(drawn(law.inclusion, tokens, 400))
        within(float(mean), float(law.distinct(tokens, 1)), float(error), largest=0.2)
        if tokens > 2:
            uniform = float(Overlap.uniform(64, 6).distinct(tokens, 1))
            refused(within, float(mean), uniform, float(error), largest=0.2)


@given(st.integers(2, 300), st.integers(1, 8), st.integers(1, 600), st.integers(1, 65))
def test_more_tokens_touch_more_experts_and_never_more_than_alone(
    experts: int, top_k: int, batch: int, window: int
) -> None:
    top_k = min(top_k, experts)
    law = profiles.overlap(QWEN, experts=experts, top_k=top_k)
    cell = float(law.distinct(batch, window))
    slack = 1e-6 * experts
    assert top_k - slack <= cell <= min(experts, top_k * batch * window) + slack
    assert cell <= float(law.distinct(batch + 1, window)) + slack
    assert cell <= float(law.distinct(batch, window + 1)) + slack
    assert cell <= float(law.without_depth().distinct(batch, window)) + slack
    assert float(law.tokens(window)) <= window + 1e-9
    assert float(law.tokens(1)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"popularity": []}, "positive shares"),
        ({"popularity": [1.0, -1.0]}, "positive shares"),
        ({"popularity": [1.0, 1.0], "windows": [2, 1], "ratio": [1, 1]}, "ascend from 1"),
        ({"popularity": [1.0, 1.0], "windows": [1, 2], "ratio": [1]}, "a ratio each"),
        ({"popularity": [1.0, 1.0], "windows": [1, 2], "ratio": [1, 1.5]}, "at most 1"),
    ],
)
def test_faults_are_named(keys: dict[str, list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Overlap.of(experts=16, top_k=2, **keys)


def test_a_profile_without_its_numbers_is_named() -> None:
    broken = profiles.Profile(
        "overlap", "mine", "", "", "", {"experts": 8, "top_k": 2, "windows": [1], "distinct": [2]}
    )
    with pytest.raises(InputError, match="profile mine needs experts, top_k"):
        profiles.overlap(broken, experts=8, top_k=2)
