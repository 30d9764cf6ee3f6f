"""Acceptance by depth: its algebra, and the sampler against it."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.acceptance import Acceptance, sample
from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from montecarlo.surface import runs
from tests.statistics import all_within, refused
from traces import profiles

probabilities = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12)
# EAGLE-3 on gpt-oss-20b, MT-Bench (vllm-project/vllm@029ba375 tests/v1/spec_decode/test_acceptance_length.py)
EAGLE3 = (0.7165, 0.512, 0.3337)


def test_iid_has_the_geometric_closed_form() -> None:
    lengths = np.arange(65)
    for alpha in (0.0, 0.3, 0.75, 0.99):
        law = Acceptance.iid(alpha)
        assert law.known is None
        np.testing.assert_allclose(law.survival(64), alpha ** np.arange(1, 65), rtol=1e-12)
        closed = (1 - alpha ** (lengths + 1)) / (1 - alpha)
        np.testing.assert_allclose(law.tokens_per_step(lengths), closed, rtol=1e-12)
    np.testing.assert_allclose(Acceptance.iid(1.0).tokens_per_step(lengths), lengths + 1)


@given(probabilities)
def test_hazards_and_survival_are_two_ways_to_say_the_same(hazard: list[float]) -> None:
    law = Acceptance.of(hazard=hazard)
    survival = law.survival(len(hazard))
    np.testing.assert_allclose(survival, np.cumprod(hazard))
    np.testing.assert_allclose(Acceptance.of(survival=survival).hazards, hazard)
    lengths = np.arange(len(hazard) + 1)
    expected = [1 + sum(survival[:k]) for k in lengths]  # P(run >= 1) + P(run >= 2) + ...
    np.testing.assert_allclose(law.tokens_per_step(lengths), expected)
    assert law.known == len(hazard)


@given(probabilities, st.integers(1, 12))
def test_beyond_the_known_depths_the_last_hazard_is_kept(hazard: list[float], more: int) -> None:
    law = Acceptance.of(hazard=hazard)
    longer = law.survival(len(hazard) + more)
    np.testing.assert_array_equal(longer[: len(hazard)], law.survival(len(hazard)))
    np.testing.assert_allclose(longer[len(hazard) :], longer[len(hazard) - 1] * hazard[-1] ** np.arange(1, more + 1))


def test_tokens_per_step_of_the_shipped_profile_is_the_published_one() -> None:
    """1 + .7165 + .512 + .3337 at three drafts; any shape and order of lengths; one token without drafts."""
    law = profiles.acceptance(profiles.load("gpt-oss-20b-eagle-3"))
    np.testing.assert_allclose(law.survival(3), EAGLE3)
    found = law.tokens_per_step(np.array([[3, 0], [1, 4]]))
    np.testing.assert_allclose(found, [[2.5622, 1.0], [1.7165, 2.5622 + 0.3337**2 / 0.512]])


def test_a_survival_that_reaches_zero_stays_there() -> None:
    law = Acceptance.of(survival=[0.5, 0.0, 0.0])
    np.testing.assert_array_equal(law.survival(5), [0.5, 0, 0, 0, 0])
    np.testing.assert_array_equal(law.tokens_per_step([0, 5]), [1, 1.5])


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Runs of 400,000 requests at i.i.d. 0.75, eight drafts."""
    survival = jnp.asarray(Acceptance.iid(0.75).survival(8), jnp.float32)
    return np.asarray(sample(survival, key(0, 0, Stream.RUN), 400_000))


def _has_survival(drawn: np.ndarray, survival: np.ndarray) -> None:
    reached = np.array([np.mean(drawn >= depth) for depth in range(1, len(survival) + 1)])
    all_within(reached, survival, np.sqrt(survival * (1 - survival) / len(drawn)), largest=0.001)


def test_runs_have_the_survival(drawn: np.ndarray) -> None:
    _has_survival(drawn, Acceptance.iid(0.75).survival(8))
    assert drawn.min() == 0
    assert drawn.max() == 8


@pytest.mark.parametrize("alpha", [0.74, 0.76])
def test_runs_are_told_from_a_hundredth_of_acceptance(drawn: np.ndarray, alpha: float) -> None:
    refused(_has_survival, drawn, Acceptance.iid(alpha).survival(8))


def test_runs_by_depth_have_their_survival_and_not_the_iid_one() -> None:
    survival = Acceptance.of(survival=EAGLE3).survival(6)
    found = np.concatenate([np.asarray(runs(survival, seed=1, world=world, requests=50_000)) for world in range(8)])
    _has_survival(found, survival)
    refused(_has_survival, found, Acceptance.iid(EAGLE3[0]).survival(6))


def test_longer_survival_leaves_shorter_runs_as_they_were() -> None:
    """One word serves all draft lengths: a run cut at k is the run of k drafts; more requests only append."""
    survival = Acceptance.iid(0.8).survival(12)
    whole = np.asarray(runs(survival, seed=3, world=5, requests=300))
    for depths in (1, 4, 11):
        cut = np.asarray(runs(survival[:depths], seed=3, world=5, requests=200))
        np.testing.assert_array_equal(cut, np.minimum(whole, depths)[:200])


def test_runs_differ_by_seed_world_and_step() -> None:
    survival = Acceptance.iid(0.8).survival(12)
    base = {"seed": 0, "world": 0, "requests": 500, "step": 0}
    first = np.asarray(runs(survival, **base))
    np.testing.assert_array_equal(first, np.asarray(runs(survival, **base)))
    for changed in ({"seed": 1}, {"world": 1}, {"step": 1}):
        other = np.asarray(runs(survival, **{**base, **changed}))
        assert np.mean(first == other) < 0.3


def test_certain_runs_are_whole_and_impossible_ones_empty() -> None:
    stream = key(0, 0, Stream.RUN)
    assert np.all(np.asarray(sample(jnp.ones(5), stream, 1000)) == 5)
    assert np.all(np.asarray(sample(jnp.zeros(5), stream, 1000)) == 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"survival": [0.8, 1.2]}, "survival at depth 2 is 1.2; a probability is between 0 and 1"),
        ({"survival": [-0.1]}, "survival at depth 1 is -0.1"),
        ({"survival": [0.5, float("nan")]}, "survival at depth 2 is nan"),
        ({"hazard": [0.8, 0.7, 1.01]}, "hazard at depth 3 is 1.01"),
        ({"survival": [0.5, 0.6]}, r"survival rises at depth 2 \(0.5 to 0.6\)"),
        ({"survival": [0.5, 0.0, 0.1]}, r"survival rises at depth 3 \(0 to 0.1\)"),
        ({"survival": []}, "at least one probability"),
        ({"hazard": [[0.5]]}, "at least one probability"),
        ({}, "either survival or hazard"),
        ({"survival": [0.5], "hazard": [0.5]}, "either survival or hazard"),
    ],
)
def test_faults_are_named(given: dict[str, list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Acceptance.of(**given)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_an_iid_acceptance_outside_0_and_1_is_named(alpha: float) -> None:
    with pytest.raises(InputError, match=f"acceptance at depth 1 is {alpha:g}; a probability is between 0 and 1"):
        Acceptance.iid(alpha)
