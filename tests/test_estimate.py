"""Estimates over worlds against known laws and against simulating the whole experiment many times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import estimate
from tests.statistics import mean_and_error, refused, within

WORLDS = 128


def _worlds(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Undrafted and drafted seconds that share most of their randomness, as paired worlds do."""
    common, own = rng.standard_normal((2, *shape))
    return 1 + 0.05 * common, 1.6 * (1 + 0.05 * common + 0.01 * own)


def _repeated(experiments: int) -> tuple[np.ndarray, np.ndarray]:
    """(speedups, their stated errors) of many independent experiments."""
    undrafted, drafted = _worlds(np.random.default_rng(1), WORLDS, experiments)
    return estimate.speedup(np.full(experiments, 2.0), undrafted, drafted)


def test_speedup_is_the_ratio_of_means_and_its_error_the_spread_between_experiments() -> None:
    values, errors = _repeated(4000)
    mean, mean_error = mean_and_error(values)
    within(float(mean), 2.0 / 1.6, float(mean_error), largest=0.0001)
    spread = values.std(ddof=1)
    within(errors.mean(), spread, spread / np.sqrt(2 * 4000), largest=0.02 * spread)


def test_speedup_error_follows_the_normal_theory() -> None:
    """Delta method: value x sd(U/u - D/d) / sqrt(worlds), here 0.01 a world; unpaired it would be 7 times that."""
    values, errors = _repeated(1000)
    theory = 1.25 * 0.01 / np.sqrt(WORLDS)
    mean, error = mean_and_error(errors)
    within(float(mean), theory, float(error), largest=0.01 * theory, sigmas=5)
    refused(within, float(mean), 1.25 * 0.05 * np.sqrt(2) / np.sqrt(WORLDS), float(error), largest=0.01 * theory)
    assert values.shape == errors.shape == (1000,)


def test_speedup_error_equals_a_bootstrap_over_worlds() -> None:
    rng = np.random.default_rng(2)
    undrafted, drafted = _worlds(rng, 400)
    _, error = estimate.speedup(np.float64(2.0), undrafted, drafted)
    chosen = rng.integers(400, size=(4000, 400))
    resampled = 2.0 * undrafted[chosen].mean(axis=1) / drafted[chosen].mean(axis=1)
    spread = resampled.std(ddof=1)
    within(float(error), spread, spread / np.sqrt(2 * 4000), largest=0.02 * spread)
    refused(within, 1.1 * float(error), spread, spread / np.sqrt(2 * 4000), largest=0.02 * spread)


def test_no_drafting_has_speedup_one_without_error_and_one_world_shows_no_error() -> None:
    undrafted, drafted = _worlds(np.random.default_rng(3), WORLDS)
    assert estimate.speedup(np.float64(1.0), undrafted, undrafted) == (1.0, 0.0)
    assert estimate.speedup(np.float64(1.0), undrafted[:1], undrafted[:1]) == (1.0, 0.0)
    value, error = estimate.speedup(np.float64(2.0), undrafted[:2], drafted[:2])
    assert value == pytest.approx(2 * undrafted[:2].sum() / drafted[:2].sum())
    assert np.isfinite(error)


def _selected(experiments: int, honest: bool) -> np.ndarray:
    """Value of the best of nine lengths that are all worth exactly 1, by the honest or the naive rule."""
    rng, tokens = np.random.default_rng(4), np.ones(9)
    found = []
    for _ in range(experiments):
        drafted = 1 + 0.05 * rng.standard_normal((WORLDS, 9))
        undrafted, half = np.ones(WORLDS), rng.permutation(WORLDS) < WORLDS // 2
        if honest:
            found.append(estimate.honest_value(tokens, undrafted, drafted, half))
        else:
            found.append(np.max(1 / drafted.mean(axis=0)))
    return np.array(found)


def test_the_honest_value_is_unbiased_under_pure_noise_and_the_naive_maximum_is_not() -> None:
    for honest, check in ((True, within), (False, lambda *a, **k: refused(within, *a, **k))):
        mean, error = mean_and_error(_selected(1500, honest))
        check(float(mean), 1.0, float(error), largest=0.0003)


def test_the_honest_value_uses_each_half_once() -> None:
    """By hand: half one chooses the first length and values it on half two, and the other way round."""
    tokens, undrafted = np.array([1.0, 1.5]), np.array([1.0, 1.0, 2.0, 2.0])
    drafted = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0], [2.0, 2.0]])
    half = np.array([True, True, False, False])
    assert estimate.honest_value(tokens, undrafted, drafted, half) == pytest.approx((2 / 2 + 1.5 * 1 / 2) / 2)
    fixed = estimate.honest_value(tokens, undrafted, drafted, half, fixed=1)
    assert fixed == pytest.approx((1.5 * 2 / 2 + 1.5 * 1 / 2) / 2)


def _halves(rng: np.random.Generator, splits: int, worlds: int) -> np.ndarray:
    return np.stack([rng.permutation(worlds) < worlds // 2 for _ in range(splits)])


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 40), st.floats(0, 0.1))
def test_the_choice_is_consistent(seed: int, count: int, worlds: int, noise: float) -> None:
    """The best is the best, is among the near-best, and what is recommended is no longer and within 1 %."""
    rng = np.random.default_rng(seed)
    tokens = np.cumsum(0.75 ** np.arange(count))
    undrafted = 1 + noise * rng.standard_normal(worlds)
    cost = (1 + 0.3 * rng.random(count) * np.arange(count)) * (1 + noise * rng.standard_normal((worlds, count)))
    found = estimate.best_length(np.arange(count), tokens, undrafted, cost, _halves(rng, 4, worlds))
    rate = tokens / cost.mean(axis=0)
    assert found.best == int(np.argmax(rate))
    assert found.best in found.near
    assert list(found.near) == sorted(found.near)
    assert found.recommended <= found.best
    assert rate[found.recommended] >= 0.99 * rate.max()
    assert np.all(rate[: found.recommended] < 0.99 * rate.max())
    assert 0 <= found.share <= 1
    assert found.noise >= 0


def test_ties_go_to_the_shorter() -> None:
    lengths, same = np.array([0, 2, 5]), np.ones((6, 3))
    found = estimate.best_length(lengths, np.ones(3), np.ones(6), same, _halves(np.random.default_rng(0), 3, 6))
    assert (found.best, found.recommended, found.near) == (0, 0, (0, 1, 2))
    assert (found.value, found.value_error, found.share, found.noise) == (1.0, 0.0, 1.0, 0.0)


def test_near_best_holds_what_noise_cannot_tell_apart() -> None:
    """Lengths .1 and 5 standard errors behind the best: the first is near, the second is not."""
    rng = np.random.default_rng(5)
    noise = 0.02 * rng.standard_normal((400, 3))
    noise -= noise.mean(axis=0)
    error = np.std(noise[:, 1] - noise[:, 0], ddof=1) / 20
    drafted = np.array([1.0, 1 + 0.1 * error, 1 + 5 * error]) + noise
    found = estimate.best_length(np.arange(3), np.ones(3), np.ones(400), drafted, _halves(rng, 64, 400))
    assert (found.best, found.near) == (0, (0, 1))
    assert found.noise > 0


def test_one_world_calls_only_the_best_near() -> None:
    drafted = np.array([[1.0, 1.001, 0.999]])
    found = estimate.best_length(np.arange(3), np.ones(3), np.ones(1), drafted, np.ones((2, 1), bool))
    assert (found.best, found.near, found.recommended) == (2, (2,), 0)
    assert found.value == pytest.approx(1 / 0.999)


def test_sign_changes_are_all_found() -> None:
    batches = np.array([1, 2, 4, 8, 16, 32])
    found = estimate.sign_changes(batches, np.array([1.2, 1.1, 0.9, 0.8, 1.3, 0.7]))
    assert found == [(2, 4, False), (8, 16, True), (16, 32, False)]
    assert estimate.sign_changes(batches, np.full(6, 1.1)) == []
    assert estimate.sign_changes(batches[:1], np.array([0.9])) == []
    assert estimate.sign_changes(batches[:3], np.array([1.0, 1.1, 1.0])) == [(1, 2, True), (2, 4, False)]


def test_between_replicates_keeps_the_spread_and_removes_the_noise_inside() -> None:
    """True spread .03 is found under inner noise of .04; the raw spread of .05 is refused."""
    rng, replicates = np.random.default_rng(6), 20_000
    inner = np.full(replicates, 0.04)
    estimates = 1 + 0.03 * rng.standard_normal(replicates) + inner * rng.standard_normal(replicates)
    found = float(estimate.between_replicates(estimates, inner))
    error = 0.05**2 * np.sqrt(2 / replicates) / (2 * 0.03)
    within(found, 0.03, error, largest=0.001)
    refused(within, estimates.std(), 0.03, error, largest=0.001)


def test_between_replicates_finds_no_spread_where_there_is_only_noise() -> None:
    rng, replicates = np.random.default_rng(7), 20_000
    inner = 0.04 * np.ones((replicates, 5))
    found = estimate.between_replicates(1 + inner * rng.standard_normal((replicates, 5)), inner)
    for value in found:
        within(value**2, 0.0, 0.04**2 * np.sqrt(2 / replicates), largest=0.01 * 0.04**2 * 1.001)
