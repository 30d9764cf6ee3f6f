"""Variance-based indices against closed forms, under inner noise, and against SALib where there is none."""

import numpy as np
import pytest
from SALib.analyze import sobol as salib
from scipy.stats import norm

from montecarlo import sobol
from studies import indices
from tests.statistics import mean_and_error, refused, within

ROWS = 1024


def _ishigami(cube: np.ndarray) -> np.ndarray:
    """sin x1 + 7 sin^2 x2 + 0.1 x3^4 sin x1, x uniform on [-pi, pi] (Ishigami and Homma, ISUMA 1990)."""
    x = np.pi * (2 * cube - 1)
    return np.sin(x[..., 0]) + 7 * np.sin(x[..., 1]) ** 2 + 0.1 * x[..., 2] ** 4 * np.sin(x[..., 0])


# In closed form, for a = 7, b = 0.1: variances of the terms x1, x2 and the pair (x1, x3).
_ALONE, _SECOND, _PAIR = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49 / 8, 0.01 * np.pi**8 * (1 / 18 - 1 / 50)
VARIANCE = _ALONE + _SECOND + _PAIR
FIRST = np.array([_ALONE, _SECOND, 0.0]) / VARIANCE
TOTAL = np.array([_ALONE + _PAIR, _SECOND, _PAIR]) / VARIANCE


def _noisy(values: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return values + noise * np.random.default_rng(seed).standard_normal((2, *values.shape))


def _found(noise: float, rows: int = ROWS, seed: int = 1) -> sobol.Indices:
    base, other, mixed = (_ishigami(points) for points in indices.saltelli([0, 1, 2], rows, seed))
    both = _noisy(mixed, noise, seed + 2)
    return sobol.indices(_noisy(base, noise, seed), _noisy(other, noise, seed + 1), np.moveaxis(both, 0, 1))


@pytest.mark.parametrize("noise", [0.0, 3.0], ids=["exact", "noisy"])
def test_ishigami_has_its_closed_form(noise: float) -> None:
    found = _found(noise, rows=4096)
    within(found.variance.value, VARIANCE, found.variance.error, largest=0.4)
    for i in range(3):
        within(found.first.value[i], FIRST[i], found.first.error[i], largest=0.03, what=f"first {i}")
        within(found.total.value[i], TOTAL[i], found.total.error[i], largest=0.03, what=f"total {i}")


def test_without_noise_they_are_those_of_salib_and_with_noise_salib_is_wrong() -> None:
    problem = indices._problem([0, 1, 2]) | {"bounds": [[0, 1]] * 3}
    base, other, mixed = (_ishigami(points) for points in indices.saltelli([0, 1, 2], ROWS, 1))

    def by_salib(halves: list[np.ndarray]) -> dict[str, np.ndarray]:
        rows = np.column_stack([halves[0], *halves[2], halves[1]]).ravel()
        return salib.analyze(problem, rows, calc_second_order=False, num_resamples=2, seed=0)

    plain, exact = by_salib([base, other, mixed]), _found(0.0)
    np.testing.assert_allclose(exact.first.value, plain["S1"], atol=0.02)
    np.testing.assert_allclose(exact.total.value, plain["ST"], atol=0.02)
    wrong = by_salib([_noisy(values, 3.0, seed).mean(axis=0) for seed, values in enumerate((base, other, mixed))])
    right = _found(3.0)
    assert wrong["ST"][1] > TOTAL[1] + 0.1  # noise, 4.5 of 18.3, counts as its own: 0.58
    within(right.total.value[1], TOTAL[1], right.total.error[1], largest=0.05)


def _linear(points: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    return norm.ppf(points) @ slopes


@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 1, 1], [0, 1, 0]])
def test_a_linear_gaussian_figure_splits_by_the_squares_of_its_slopes_also_in_groups(groups: list[int]) -> None:
    """Slopes 3, 2, 1 in two cells, the second without the first unknown; half the variance is inner noise."""
    slopes = np.array([[3.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    base, other, mixed = (_linear(points, slopes) for points in indices.saltelli(groups, ROWS, 5))
    both = np.moveaxis(_noisy(mixed, 2.0, 8), 0, 1)
    found = sobol.indices(_noisy(base, 2.0, 6), _noisy(other, 2.0, 7), both)
    shares = np.zeros((max(groups) + 1, 2))
    for unknown, group in enumerate(groups):
        shares[group] += slopes[unknown] ** 2 / np.sum(slopes**2, axis=0)
    for where in np.ndindex(shares.shape):
        within(found.first.value[where], shares[where], found.first.error[where], largest=0.09)
        within(found.total.value[where], shares[where], found.total.error[where], largest=0.09)


@pytest.mark.parametrize("kind", ["first", "total"])
def test_inner_worlds_shared_by_all_rows_are_noise_too(kind: str) -> None:
    """Then a half has slopes of its own, 1 + noise of sd 0.25: on average over experiments, what slopes of 1 show."""
    rng = np.random.default_rng(12)
    a, b = rng.standard_normal((2, 100, 1, 2))
    mixed = np.stack([np.where(np.arange(2) == i, b, a) for i in range(2)])

    def explained(slopes: np.ndarray, halves: list[int]) -> np.ndarray:
        base, other, both = (np.sum(slopes * points, axis=-1) for points in (a, b, mixed[:, None]))
        found = sobol.indices(base[halves], other[halves], both[:, halves])
        return getattr(found, kind).value * found.variance.value

    exact = explained(np.ones((2, 1, 1, 2)), [0, 1])[:, 0]
    noisy = 1 + 0.25 * rng.standard_normal((2, 1, 4000, 2))
    for halves, check in (([0, 1], within), ([0, 0], lambda *given, **most: refused(within, *given, **most))):
        for i in range(2):
            mean, error = mean_and_error(explained(noisy, halves)[i])
            check(float(mean), float(exact[i]), float(error), largest=0.02)


def test_the_stated_errors_are_the_spread_between_experiments() -> None:
    """Experiments side by side, with independent rows instead of a sequence."""
    rng, count = np.random.default_rng(9), 600
    slopes = np.array([3.0, 2.0, 1.0])
    a, b = rng.standard_normal((2, 200, count, 3))
    mixed = np.stack([np.where(np.arange(3) == i, b, a) @ slopes for i in range(3)])
    halves = [values + rng.standard_normal((2, *values.shape)) for values in (a @ slopes, b @ slopes, mixed)]
    found = sobol.indices(halves[0], halves[1], np.moveaxis(halves[2], 0, 1))
    for share in (found.first, found.total):
        for i in range(3):
            mean, error = mean_and_error(share.value[i])
            within(float(mean), slopes[i] ** 2 / 14, float(error), largest=0.006, sigmas=5)
            spread = float(share.value[i].std(ddof=1))
            within(float(share.error[i].mean()), spread, spread / np.sqrt(2 * count), largest=0.05 * spread)


def test_a_figure_without_variance_has_no_indices() -> None:
    flat = np.ones((2, 64))
    found = sobol.indices(flat, flat, np.ones((3, 2, 64)))
    assert np.all(np.isnan(found.first.value))
    assert np.all(np.isnan(found.total.error))
    assert found.variance.value == 0


def _excess(noise: float, signal: float, split: bool = True) -> tuple[sobol.Share, sobol.Share]:
    rng = np.random.default_rng(10)
    halves = 1 + signal * rng.standard_normal(4000) + noise * rng.standard_normal((2, 4000))
    return sobol.excess_variance(halves if split else np.broadcast_to(halves.mean(axis=0), halves.shape))


def test_excess_variance_is_that_of_the_parameters() -> None:
    variance, share = _excess(noise=0.2, signal=0.1)
    within(variance.value, 0.01, variance.error, largest=0.001)
    within(share.value, 0.2, share.error, largest=0.02)


def test_pure_inner_noise_has_no_excess_variance_unless_halves_are_not_split() -> None:
    for found in _excess(noise=0.2, signal=0.0):
        within(found.value, 0.0, found.error, largest=0.02)
    for found in _excess(noise=0.2, signal=0.0, split=False):
        refused(within, found.value, 0.0, found.error, largest=0.02)


def test_the_errors_of_excess_variance_are_the_spread_between_experiments() -> None:
    rng, count = np.random.default_rng(11), 1000
    halves = 0.1 * rng.standard_normal((150, count)) + 0.1 * rng.standard_normal((2, 150, count))
    for found, expected in zip(sobol.excess_variance(halves), (0.01, 0.5), strict=True):
        mean, error = mean_and_error(found.value)
        within(float(mean), expected, float(error), largest=0.01 * expected)
        spread = float(found.value.std(ddof=1))
        within(float(found.error.mean()), spread, spread / np.sqrt(2 * count), largest=0.03 * spread)
