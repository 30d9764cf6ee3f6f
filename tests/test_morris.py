"""Elementary effects against closed forms and SALib, under inner noise, and the designs they are evaluated at."""

import numpy as np
import pytest
from SALib.analyze import morris as salib
from scipy.stats import norm

from montecarlo import morris
from studies import indices
from tests.statistics import refused, within

COUNT = 400
SLOPES = np.array([3.0, -1.0, 0.0, 0.5])


def _halves(values: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    return values + noise * np.random.default_rng(seed).standard_normal((2, *values.shape))


def test_a_linear_figure_shows_the_size_of_its_slopes_and_no_spread() -> None:
    design = indices.trajectories(range(4), 10, 0)
    found = morris.effects(design, range(4), _halves(design @ SLOPES, 0.0))
    np.testing.assert_allclose(found.strength, np.abs(SLOPES), atol=1e-12)
    np.testing.assert_allclose(found.strength_error, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.spread, 0.0, atol=1e-7)


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [0, 1, 1, 2]])
def test_without_noise_they_are_those_of_salib(groups: list[int]) -> None:
    design = indices.trajectories(groups, 50, 1)
    figure = np.sin(3 * design[..., 0]) * design[..., 1] + design[..., 2] ** 2 - design[..., 3]
    found = morris.effects(design, groups, _halves(figure, 0.0))
    points = design.reshape(-1, 4)
    expected = salib.analyze(indices._problem(groups), points, figure.ravel(), num_resamples=2, seed=0)
    np.testing.assert_allclose(found.strength, expected["mu_star"], atol=1e-12)
    np.testing.assert_allclose(found.spread, np.ma.filled(expected["sigma"], np.nan), atol=1e-12)


def test_noise_is_not_an_effect_unless_halves_are_not_split() -> None:
    design = indices.trajectories(range(4), COUNT, 2)
    halves = _halves(design @ SLOPES, 0.3)
    found = morris.effects(design, range(4), halves)
    within(found.strength[2], 0.0, found.strength_error[2], largest=0.04)
    within(found.strength[0], 3.0, found.strength_error[0], largest=0.04)
    unsplit = morris.effects(design, range(4), np.broadcast_to(halves.mean(axis=0), halves.shape))
    refused(within, unsplit.strength[2], 0.0, unsplit.strength_error[2], largest=0.04)


def test_noise_is_not_an_interaction() -> None:
    """One slope of 3 and one figure x0 x1, whose effect of x0 is x1: its spread is found, the noise is not."""
    design = indices.trajectories(range(2), 4 * COUNT, 3)
    figures = np.stack([3 * design[..., 0], 3 * design.prod(axis=-1)], axis=-1)
    found = morris.effects(design, range(2), _halves(figures, 0.3))
    assert found.strength.shape == (2, 2)
    bent = 3 * np.std([0, 1 / 3, 2 / 3, 1])  # x1 lies evenly on the four levels of the grid
    assert found.spread[0, 1] == pytest.approx(bent, rel=0.05)
    assert found.spread[0, 0] < 0.2
    raw = np.diff(_halves(figures, 0.3).mean(axis=0)[..., 0], axis=1).std()
    assert raw > 0.25


def test_noise_only_lowers_the_strength_by_the_law_of_its_sign() -> None:
    """Effect 1, noise of sd 2 in each half: E[sign(e_y) e_z] = 2 Phi(1/2) - 1."""
    design = indices.trajectories([0], 4000, 4)
    noise = 2 * (2 / 3) / np.sqrt(2)
    found = morris.effects(design, [0], _halves(design[..., 0], noise))
    within(found.strength[0], 2 * norm.cdf(0.5) - 1, found.strength_error[0], largest=0.04)


def test_a_design_that_moves_two_groups_at_once_is_refused() -> None:
    design = indices.trajectories(range(3), 5, 5)
    with pytest.raises(ValueError, match="changes one group"):
        morris.effects(design[:, ::2], range(3), np.zeros((2, 5, 2)))


def test_rows_of_the_saltelli_design_take_one_group_from_the_other() -> None:
    groups = [0, 1, 1, 2]
    base, other, mixed = indices.saltelli(groups, 64, 6)
    assert base.shape == other.shape == (64, 4)
    for group in range(3):
        np.testing.assert_array_equal(mixed[group], np.where(np.array(groups) == group, other, base))
    assert np.all((base > 0) & (base < 1) & (base != other))
    again = indices.saltelli(groups, 64, 6)
    np.testing.assert_array_equal(again[2], mixed)
    assert np.all(indices.saltelli(groups, 64, 7)[0] != base)


def test_groups_that_are_not_numbered_as_they_come_are_refused() -> None:
    for design in (indices.saltelli, indices.trajectories):
        for groups in ([1, 0], [0, 2], []):
            with pytest.raises(ValueError, match="number them 0, 1, 2"):
                design(groups, 8, 0)
    with pytest.raises(ValueError, match="at least 2"):
        indices.saltelli([0, 0], 8, 0)
