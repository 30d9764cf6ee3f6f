"""The spline against smoothing by its definition, functions it must return, and noise it must not follow."""

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from montecarlo import smoothing
from montecarlo.smoothing import Spline, normal_scores
from tests.statistics import refused


def test_one_dimension_is_the_natural_cubic_smoothing_spline(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many knots as points and the plain score, SciPy's smoothing spline by GCV is the same curve."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-2, 2, 60))
    y = np.sin(2 * x) + 0.2 * rng.standard_normal(60)
    monkeypatch.setattr(smoothing, "KNOTS", 60)
    monkeypatch.setattr(smoothing, "CAUTION", 1.0)
    monkeypatch.setattr(smoothing, "STRENGTHS", np.geomspace(1e-10, 1e4, 2000))
    found = Spline.at(x[:, None]).predict(y[:, None], x[:, None])[:, 0]
    np.testing.assert_allclose(found, make_smoothing_spline(x, y)(x), atol=2e-3)
    assert np.abs(found - y).max() > 0.1


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_a_plane_comes_back_exactly_anywhere(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    points, others = rng.standard_normal((2, 300, dimensions))
    slope = rng.standard_normal((dimensions, 2))
    found = Spline.at(points).predict(1 + points @ slope, 3 * others)
    np.testing.assert_allclose(found, 1 + 3 * others @ slope, atol=1e-6)


@pytest.mark.parametrize(("dimensions", "most"), [(1, 0.002), (2, 0.01), (3, 0.04), (4, 0.10)])
def test_a_bent_surface_is_found_under_noise(dimensions: int, most: float) -> None:
    """Mean square error of at most `most` of the variance, where the noise is as large as the signal; a plane fails."""
    rng = np.random.default_rng(10 + dimensions)
    points, others = rng.standard_normal((2, 2000, dimensions))

    def truth(x: np.ndarray) -> np.ndarray:
        return np.cos(x.sum(axis=1) / np.sqrt(dimensions)) + 0.5 * x[:, 0]

    signal = truth(points)
    noisy = signal + signal.std() * rng.standard_normal(2000)
    found = Spline.at(points).predict(noisy[:, None], others)[:, 0]
    near = np.abs(others).max(axis=1) < 2
    assert np.mean((found - truth(others))[near] ** 2) < most * signal.var() + 0.01 * signal.var()
    plane = np.column_stack([np.ones(2000), points])
    flat = np.column_stack([np.ones(2000), others]) @ np.linalg.lstsq(plane, noisy)[0]
    assert np.mean((flat - truth(others))[near] ** 2) > 0.2 * signal.var()


def test_pure_noise_is_smoothed_to_almost_nothing_and_each_output_alone() -> None:
    rng = np.random.default_rng(3)
    points, noise = rng.standard_normal((1000, 2)), rng.standard_normal((1000, 50))
    bent = np.sin(3 * points[:, :1])
    found = Spline.at(points).predict(np.hstack([noise, bent]), points)
    assert np.mean(found[:, :50] ** 2) < 0.02  # a plane alone: 3 / 1000; all 40 knots: 40 / 1000
    np.testing.assert_allclose(found[:, 50:], Spline.at(points).predict(bent, points), atol=1e-12)


@pytest.mark.parametrize(
    "points",
    [np.zeros((40, 1)), np.repeat([[0.0], [1.0]], 20, axis=0), np.repeat(np.arange(20.0)[:, None], 2, axis=1)],
    ids=["constant", "a switch", "one unknown twice"],
)
def test_points_that_span_little_are_fitted_as_far_as_they_go(points: np.ndarray) -> None:
    y = 2 + points[:, :1]
    np.testing.assert_allclose(Spline.at(points).predict(y, points), y, atol=1e-6)


def test_normal_scores_keep_the_order_share_ties_and_forget_the_scale() -> None:
    rng = np.random.default_rng(4)
    draws = rng.standard_normal((5000, 2))
    scores = normal_scores(draws)
    np.testing.assert_array_equal(normal_scores(np.exp(3 * draws)), scores)
    assert abs(scores.std() - 1) < 0.01
    tied = normal_scores(np.array([[1.0], [0.0], [1.0], [2.0]]))
    assert tied[0] == tied[2]
    assert tied[1] < tied[0] < tied[3]


def test_outliers_would_bend_a_spline_and_scores_do_not() -> None:
    rng = np.random.default_rng(5)
    z = rng.standard_normal((1500, 1))
    heavy, y = np.exp(3 * z), np.sin(2 * z) + 0.3 * rng.standard_normal((1500, 1))

    def error(points: np.ndarray) -> float:
        return float(np.mean((Spline.at(points).predict(y, points) - np.sin(2 * z)) ** 2))

    def accurate(found: float) -> None:
        assert found < 0.01

    accurate(error(normal_scores(heavy)))
    refused(accurate, error(heavy))
