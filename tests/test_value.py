"""Value of information against closed forms, with inner noise on, and what happens when halves are not split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from montecarlo.value import Worth, evpi, evpi_at_most, evppi
from tests.statistics import mean_and_error, refused, within

DRAWS = 4000


def _gaussian(shift: float, spread: float) -> float:
    """E[max(0, X)] - max(0, shift) for X ~ N(shift, spread^2): the value of learning X (Raiffa and Schlaifer, 1961)."""
    return float(shift * norm.cdf(shift / spread) + spread * norm.pdf(shift / spread) - max(shift, 0.0))


def _two_actions(seed: int, slopes: np.ndarray, shift: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """(utility [2, draws, 2], theta [draws, unknowns]); U_1 - U_0 = shift + slopes.theta, seen through inner noise.

    A common part, the same for both actions, is far larger than their difference, as machines differ more than lengths.
    """
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal((DRAWS, len(slopes)))
    common = 3 * rng.standard_normal((1, DRAWS, 1))
    exact = np.stack([np.zeros(DRAWS), shift + theta @ slopes], axis=1)
    return exact + common + noise * rng.standard_normal((2, DRAWS, 2)), theta


@pytest.mark.parametrize("shift", [0.0, -0.05, 0.1])
def test_two_actions_have_the_gaussian_closed_form_with_inner_noise_on(shift: float) -> None:
    slopes = np.array([0.12, 0.05, 0.0])
    utility, theta = _two_actions(1, slopes, shift, noise=0.02)
    everything = evpi(utility)
    within(everything.value, _gaussian(shift, 0.13), everything.error, largest=0.0015)
    for i in (0, 1):
        one = evppi(utility, theta[:, i])
        within(one.value, _gaussian(shift, slopes[i]), one.error, largest=0.0015, what=f"unknown {i}")
    group = evppi(utility, theta[:, :2])
    within(group.value, _gaussian(shift, 0.13), group.error, largest=0.0015)
    nothing = evppi(utility, theta[:, 2])
    within(nothing.value, 0.0, nothing.error, largest=0.0015)


@pytest.mark.parametrize("shift", [0.0, 0.06])
def test_heavy_inner_noise_lowers_one_bound_and_raises_the_other_as_the_closed_forms_say(shift: float) -> None:
    """X ~ N(m, s^2) seen as X + noise of variance v: E[X; seen > 0] = m Phi(m/t) + s^2/t phi(m/t), t^2 = s^2 + v."""
    utility, _ = _two_actions(8, np.array([0.12, 0.05]), shift, noise=0.06)
    half, both = np.hypot(0.13, 0.06 * np.sqrt(2)), np.hypot(0.13, 0.06)  # sd of what a half, and the mean, shows
    seen = shift * norm.cdf(shift / half) + 0.13**2 / half * norm.pdf(shift / half) - shift
    lower, upper = evpi(utility), evpi_at_most(utility)
    within(lower.value, seen, lower.error, largest=0.0015)
    within(upper.value, _gaussian(shift, both), upper.error, largest=0.0015)
    assert lower.value + 4 * lower.error < _gaussian(shift, 0.13) < upper.value


def test_the_scale_of_what_is_known_does_not_matter() -> None:
    utility, theta = _two_actions(2, np.array([0.12, 0.05]), 0.02, noise=0.02)
    np.testing.assert_array_equal(evppi(utility, np.exp(5 * theta[:, 0])).gains, evppi(utility, theta[:, 0]).gains)


def test_a_group_can_be_worth_what_neither_of_its_unknowns_is() -> None:
    """U_1 - U_0 = theta_1 theta_2: alone each says nothing; E[max(0, XY)] = E|XY| / 2 = 1/pi."""
    rng = np.random.default_rng(3)
    theta = rng.standard_normal((DRAWS, 2))
    utility = 0.1 * np.stack([np.zeros(DRAWS), theta.prod(axis=1)], axis=1) + 0.005 * rng.standard_normal((2, DRAWS, 2))
    alone, both = evppi(utility, theta[:, 0]), evppi(utility, theta)
    within(alone.value, 0.0, alone.error, largest=0.002)
    within(both.value, 0.1 / np.pi, both.error, largest=0.0015)


def test_a_bent_difference_is_seen_under_a_common_part_thirty_times_as_large() -> None:
    """U_1 - U_0 = 0.1 (theta^2 - 1), which no straight line shows: E[max(0, z^2 - 1)] = 2 phi(1)."""
    utility, theta = _two_actions(9, np.zeros(1), 0.0, noise=0.02)
    utility[..., 1] += 0.1 * (theta[:, 0] ** 2 - 1)
    worth = evppi(utility, theta[:, 0])
    within(worth.value, 0.2 * norm.pdf(1), worth.error, largest=0.0025)


EXPERIMENTS = 400  # side by side, as cells: a bias shows that one experiment would hide


def _pure_noise(shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """(utility [2, 300, experiments, 5], theta [300]) of five actions that are worth the same at every theta.

    shared: all draws use the same inner worlds, so the noise of a half is a smooth function of theta, which no other
    draw gives away: only the other half does.
    """
    rng = np.random.default_rng(4)
    theta = rng.standard_normal(300)
    if not shared:
        return 0.1 * rng.standard_normal((2, 300, EXPERIMENTS, 5)), theta
    size = 0.1 * rng.standard_normal((2, 2, 1, EXPERIMENTS, 5))
    return size[:, 0] * np.sin(theta)[:, None, None] + size[:, 1] * np.cos(theta)[:, None, None], theta


def _unsplit(utility: np.ndarray) -> np.ndarray:
    """Both halves replaced by their mean: what chooses also values."""
    return np.broadcast_to(utility.mean(axis=0), utility.shape)


@pytest.mark.parametrize("shared", [False, True], ids=["own worlds", "shared worlds"])
def test_pure_inner_noise_is_worth_nothing_unless_halves_are_not_split(shared: bool) -> None:
    utility, theta = _pure_noise(shared)
    for found in (evpi, lambda u: evppi(u, theta)):
        mean, error = mean_and_error(found(utility).value)
        within(float(mean), 0.0, float(error), largest=0.003, sigmas=4)
        mean, error = mean_and_error(found(_unsplit(utility)).value)
        if shared or found is evpi:
            refused(within, float(mean), 0.0, float(error), largest=0.003)
            assert mean > 0.03
        else:  # noise of its own, which other draws do not have: the folds alone protect
            within(float(mean), 0.0, float(error), largest=0.003)


def test_a_regression_that_sees_the_draw_it_decides_for_values_noise_of_its_own() -> None:
    """The estimator as published, mean of the largest fit less the largest mean: why draws are decided by others."""
    utility, theta = _pure_noise(shared=False)
    values = utility.mean(axis=0).reshape(300, -1)
    fitted = np.polynomial.polynomial.polyval(theta, np.polynomial.polynomial.polyfit(theta, values, 3)).T
    found = fitted.reshape(300, EXPERIMENTS, 5).max(axis=2).mean(axis=0)
    found = found - values.reshape(300, EXPERIMENTS, 5).mean(axis=0).max(axis=1)
    mean, error = mean_and_error(found)
    refused(within, float(mean), 0.0, float(error), largest=0.001)
    mean, error = mean_and_error(evppi(utility, theta).value)
    within(float(mean), 0.0, float(error), largest=0.001)


def test_the_stated_error_is_the_spread_between_experiments() -> None:
    slopes = np.array([0.12, 0.05])
    found = [evppi(*_few(seed, slopes)) for seed in range(150)]
    spread = float(np.std([worth.value for worth in found], ddof=1))
    stated = float(np.mean([worth.error for worth in found]))
    within(stated, spread, spread / np.sqrt(300), largest=0.06 * spread)
    refused(within, 1.4 * stated, spread, spread / np.sqrt(300), largest=0.06 * spread)


def _few(seed: int, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    utility, theta = _two_actions(seed, slopes, -0.06, 0.02)
    return utility[:, :250], theta[:250, 0]


def _chain(seed: int, shift: float) -> tuple[list[Worth], list[float]]:
    """(worths, closed forms) of 2, 8, 32 and 128 of the same observations of theta_0, of theta_0, and of everything."""
    utility, theta = _two_actions(seed, np.array([0.12, 0.05]), shift, noise=0.004)
    rng = np.random.default_rng(seed + 1000)
    seen = theta[:, :1] + 3 * rng.standard_normal((DRAWS, 128))  # each of variance 9 about theta_0
    counts = (2, 8, 32, 128)
    worths = [evppi(utility, seen[:, :n].mean(axis=1)) for n in counts]
    closed = [_gaussian(shift, 0.12 * np.sqrt(n / (n + 9))) for n in counts]
    return (
        [*worths, evppi(utility, theta[:, 0]), evpi(utility)],
        [*closed, _gaussian(shift, 0.12), _gaussian(shift, 0.13)],
    )


@pytest.mark.parametrize("shift", [0.0, 0.03])
def test_samples_are_worth_more_the_more_there_are_and_never_more_than_the_truth(shift: float) -> None:
    """0 <= EVSI(n) <= EVSI(4 n) <= EVPPI <= EVPI, on the same draws and the same observations."""
    worths, closed = _chain(5, shift)
    for worth, expected in zip(worths, closed, strict=True):
        within(worth.value, expected, worth.error, largest=0.0015)
    values = np.array([0.0, *(worth.value for worth in worths)])
    assert np.all(np.diff(values) >= 0), values
    for less, more, least, most in zip(worths, worths[1:], closed, closed[1:], strict=False):
        paired = Worth(more.gains - less.gains)
        within(paired.value, most - least, paired.error, largest=0.0015)
        assert paired.error < np.hypot(less.error, more.error)


def test_percent_is_the_geometric_mean_of_throughput() -> None:
    """Half the draws gain 10 % in log throughput, half nothing: exp(.05) - 1, and its error by the delta method."""
    worth = Worth(np.tile([0.0, 0.1], 50))
    assert worth.percent == pytest.approx(100 * (np.exp(0.05) - 1))
    assert worth.percent_error == pytest.approx(100 * np.exp(0.05) * 0.1 / 2 / np.sqrt(99))


def test_ties_and_certain_choices_are_worth_nothing_exactly() -> None:
    rng = np.random.default_rng(6)
    same = np.repeat(rng.standard_normal((2, 100, 1)), 4, axis=2)
    clear = same + np.array([0.0, 1.0, 0.5, 0.2])
    theta = rng.standard_normal(100)
    for utility in (same, clear):
        for worth in (evpi(utility), evppi(utility, theta)):
            assert np.all(worth.gains == 0)


def test_cells_side_by_side_are_the_cells_alone() -> None:
    utilities, theta = zip(*(_two_actions(7, np.array([0.1, b]), 0.0, 0.02) for b in (0.0, 0.05, 0.2)), strict=True)
    together = np.stack(utilities, axis=2).reshape(2, DRAWS, 1, 3, 2)
    for found, alone in (
        (evpi(together), [evpi(u) for u in utilities]),
        (evppi(together, theta[0]), [evppi(u, theta[0]) for u in utilities]),
    ):
        assert found.value.shape == found.error.shape == (1, 3)
        np.testing.assert_allclose(found.gains[:, 0], np.stack([a.gains for a in alone], axis=1), atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.0, 0.2))
def test_no_policy_beats_knowing_the_best_action_of_every_draw(seed: int, actions: int, noise: float) -> None:
    """Draw by draw: gains never exceed the best action's utility over the prior's in the half that values."""
    rng = np.random.default_rng(seed)
    utility = 0.1 * rng.standard_normal((1, 50, actions)) + noise * rng.standard_normal((2, 50, actions))
    theta = rng.standard_normal((50, 2))
    span = np.ptp(utility, axis=2).mean(axis=0)
    for worth in (evpi(utility), evppi(utility, theta)):
        assert np.all(worth.gains <= span + 1e-12)
    assert actions > 1 or not np.any(evppi(utility, theta).gains)


@pytest.mark.parametrize("shape", [(1, 100, 3), (3, 100, 3), (2, 9, 3)])
def test_utility_without_two_halves_or_with_too_few_draws_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two halves of at least 10 draws"):
        evpi(np.zeros(shape))
