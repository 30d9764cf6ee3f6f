"""The estimators on series of known law, written-out formulas, and the real logs' published figures."""

from pathlib import Path

import numpy as np
import pytest

from tests.logs import spec_bench
from tests.statistics import mean_and_error, refused, within
from traces.acceptance_stats import figures
from traces.spread import icc, lag_one, variance_32
from traces.step_log import StepLog


def test_icc_is_that_of_a_random_effect() -> None:
    """Unequal groups, effect variance 1 of 4."""

    def one(seed: int) -> float:
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(60), random.integers(5, 60, 60))
        return icc(group, random.standard_normal(60)[group] + np.sqrt(3) * random.standard_normal(len(group)))

    mean, error = mean_and_error(np.array([one(seed) for seed in range(400)]))
    within(float(mean), 0.25, float(error), largest=0.005)
    refused(within, float(mean), 0.28, float(error), largest=0.005)


def test_icc_is_the_analysis_of_variance_written_out() -> None:
    group, values = np.array([0, 0, 0, 1, 1, 5]), np.array([1.0, 2, 3, 5, 7, 4])
    means, grand, counts = [2.0, 6.0, 4.0], 22 / 6, [3, 2, 1]
    between = sum(n * (m - grand) ** 2 for n, m in zip(counts, means, strict=True)) / 2
    inside = (1 + 0 + 1 + 1 + 1 + 0) / 3
    typical = (6 - 14 / 6) / 2
    assert icc(group, values) == pytest.approx((between - inside) / (between + (typical - 1) * inside))
    assert np.isnan(icc(np.zeros(4), values[:4]))


@pytest.mark.parametrize("rho", [0.0, 0.15])
def test_lag_one_is_unbiased_in_short_series(rho: float) -> None:
    """Series of 30 with means of their own; without the correction it is 1/30 too low."""

    def one(seed: int) -> float:
        random = np.random.default_rng(seed)
        noise = random.standard_normal((200, 30))
        series = np.empty_like(noise)
        series[:, 0] = noise[:, 0]
        for i in range(1, 30):
            series[:, i] = rho * series[:, i - 1] + np.sqrt(1 - rho**2) * noise[:, i]
        series += 3 * random.standard_normal((200, 1))
        return lag_one(np.repeat(np.arange(200), 30), series.ravel())

    mean, error = mean_and_error(np.array([one(seed) for seed in range(100)]))
    assert abs(mean - rho) < 0.012
    assert error < 0.002
    refused(within, float(mean), rho - 1 / 30, float(error), largest=0.002)


def test_variance_32_is_one_for_independent_steps_and_more_for_a_shared_part() -> None:
    random = np.random.default_rng(0)
    request = np.repeat(np.arange(4000), 70)  # 39 stretches each, the first and the last apart
    noise = random.standard_normal(len(request))
    within(variance_32(request, noise), 1.0, np.sqrt(2 / 8000), largest=0.02)
    shared = noise + 0.5 * random.standard_normal(4000)[request]
    within(variance_32(request, shared), (1 + 32 * 0.25) / 1.25, 0.15, largest=0.2)
    refused(within, variance_32(request, shared), 1.0, np.sqrt(2 / 8000), largest=0.02)
    assert np.isnan(variance_32(np.arange(10), np.ones(10)))


def test_survival_counts_only_steps_that_drafted_so_deep_and_were_not_cut() -> None:
    log = StepLog.of(
        request=[0, 0, 0, 1, 1],
        drafted=[3, 1, 3, 3, 2],
        accepted=[3, 1, 0, 2, 0],
        cut=[False, False, True, False, False],
    )
    np.testing.assert_allclose(figures(log).survival, [3 / 4, 2 / 3, 1 / 2])


# acceptance.md: hazards by depth, ICC by request, lag-1 autocorrelation
@pytest.mark.parametrize(
    ("name", "hazard", "correlation", "lag"),
    [
        ("eagle-1", [0.897, 0.803, 0.727, 0.518, 0.627], 0.135, 0.10),
        ("medusa", [0.834, 0.582, 0.367, 0.116], None, 0.085),
        ("hydra", None, None, 0.20),
    ],
)
def test_the_real_logs_have_their_published_figures(
    data: Path, name: str, hazard: list[float] | None, correlation: float | None, lag: float
) -> None:
    found = figures(spec_bench(data, name))
    if hazard:
        np.testing.assert_allclose(found.survival / [1, *found.survival[:-1]], hazard, atol=0.003)
    if correlation:
        assert found.icc == pytest.approx(correlation, abs=0.01)
    assert found.lag_one == pytest.approx(lag, abs=0.01)
