"""Tokens per step by draft length: the walk that serves all lengths, and golden curves extrapolated from three."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from montecarlo.difficulty import Difficulty, sample
from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from tests.bench.golden import CHAINS
from tests.golden import golden_curves
from tests.statistics import refused
from traces import profiles
from traces.fit_curve import (
    NAMES,
    Bank,
    bank,
    constant_hazard,
    fit_curve,
    posterior,
    prior,
    steps_by_length,
    walk_lengths,
)
from traces.profiles import difficulty
from traces.step_log import walked

PROCESS = Difficulty.of([1.5], fall=0.2, request_sd=0.4, short_sd=1.2, short_tokens=2.0, slow_sd=0.6)


@pytest.fixture(scope="module")
def walks() -> Bank:
    """The prior at a tenth of the size that `python -m tests.bench.golden` uses."""
    return bank(1024, 8, requests=64, tokens=512)


def test_one_pass_counts_the_steps_of_every_length() -> None:
    run = np.asarray(sample(PROCESS, key(0, 0, Stream.RUN), requests=20, tokens=100, draft_length=8))
    found = np.asarray(steps_by_length(run.T, 8))
    np.testing.assert_array_equal(found, [len(walked(run, k).request) for k in range(1, 9)])


def test_a_curve_of_the_prior_is_found_again(walks: Bank) -> None:
    """Figures of draws that were left out: the 90 % intervals at 7 and 8 hold 80 to 98 % of them."""
    kept = Bank(walks.theta[:900], walks.tokens_per_step[:900])
    random = np.random.default_rng(0)
    held, off, worse = [], [], []
    for truth in walks.tokens_per_step[900:]:
        figures = 1 + (truth - 1) * (1 + 0.025 * random.standard_normal(8))
        if not 1.5 < figures[0] < 1.97 or not np.all(np.diff(figures[:3]) > 0.05):
            continue
        curve = fit_curve(kept, [1, 2, 3], figures[:3])
        if curve.effective > 8:
            held.append((curve.low[6:] <= figures[6:]) & (figures[6:] <= curve.high[6:]))
            off.append(np.abs(curve.predicted[6:] - figures[6:]))
            worse.append(np.abs(constant_hazard(figures, 8)[6:] - figures[6:]))
    assert len(held) > 40
    assert 0.8 <= np.mean(held) <= 0.98
    assert np.mean(off) < np.mean(worse)


def test_golden_curves_from_three_lengths(data: Path, walks: Bank) -> None:
    """At 7 and 8: at least 13 of 16 inside the 90 % intervals, and nearer than a constant hazard."""
    curves = golden_curves(data)
    assert len(curves) == 8
    inside, gains = 0, []
    for figures in curves.values():
        curve, constant = fit_curve(walks, [1, 2, 3], figures[:3]), constant_hazard(figures, 8)
        inside += int(np.sum((curve.low[6:] <= figures[6:]) & (figures[6:] <= curve.high[6:])))
        gains += (np.abs(constant - figures) - np.abs(curve.predicted - figures))[6:].tolist()
    assert inside >= 13
    assert np.mean(gains) > 0


def test_one_process_meets_the_figures_that_the_means_of_the_draws_do_not(walks: Bank) -> None:
    lengths, truth = np.arange(1, 9), int(np.argmin(np.abs(walks.tokens_per_step[:, 7] - 4.0)))
    figures = walks.tokens_per_step[truth]
    process, error, correlation = posterior(walks, fit_curve(walks, lengths, figures), lengths, figures)
    np.testing.assert_allclose(_walked(process), figures, rtol=0.02)
    assert process.offsets.shape == (8,)
    np.testing.assert_allclose(np.diff(process.offsets), -process.fall, atol=1e-5)
    deeper = replace(process, offsets=process.offsets - process.fall * jnp.arange(8))
    refused(np.testing.assert_allclose, _walked(deeper), figures, rtol=0.02)
    theta = np.array([float(getattr(process, name)) for name in ("request_sd", "short_sd", "slow_sd")])
    assert np.all(np.abs(theta - walks.theta[truth, 2:5]) < 4 * error[2:5])
    np.testing.assert_allclose(np.diag(correlation), 1)
    assert correlation[0, 1] > 0.5  # a higher start falls faster


def _walked(process: Difficulty) -> np.ndarray:
    """Tokens per step [8] of a walk over other texts than those of the fit."""
    one = jax.tree.map(lambda leaf: leaf[None], process)
    return np.asarray(walk_lengths(one, key(5, 0, Stream.RUN), 8, 256, 1024), np.float64)[0]


@pytest.mark.parametrize("name", CHAINS)
def test_a_shipped_profile_walks_the_golden_curve(data: Path, name: str) -> None:
    """Within 4 % of tokens per step, at every length; without its fall it is off."""
    figures, profile = golden_curves(data)[name], profiles.load(CHAINS[name][0])
    process = difficulty.process(profile.numbers, profile.id)
    np.testing.assert_allclose(_walked(process), figures, rtol=0.04)
    refused(
        np.testing.assert_allclose,
        _walked(replace(process, offsets=process.offsets[:1], fall=0 * process.fall)),
        figures,
        rtol=0.04,
    )
    assert set(profile.numbers["standard_errors"]) == set(NAMES)


def test_a_constant_hazard_goes_on_geometrically() -> None:
    np.testing.assert_allclose(constant_hazard([1.8, 2.4, 2.7], 5), [1.8, 2.4, 2.7, 2.85, 2.925])


def test_the_prior_falls_and_never_rises_and_keeps_its_scales_apart() -> None:
    theta = prior(500)
    assert theta[:, 1].min() >= 0
    assert np.all(theta[:, 6] >= 2 * theta[:, 5])
    np.testing.assert_array_equal(prior(500), theta)


@pytest.mark.parametrize(
    ("lengths", "figures", "message"),
    [
        ([1, 2], [1.8], "1 figures for 2 draft lengths"),
        ([0, 2], [1.8, 2.0], "the bank holds 1 to 8"),
        ([1, 9], [1.8, 2.0], "the bank holds 1 to 8"),
        ([1, 2], [1.8, 3.1], "at most the length"),
        ([1, 2], [0.8, 1.1], "above 1"),
        ([1, 2, 3], [1.9, 1.91, 3.9], "no process of the prior"),
    ],
)
def test_faults_are_named(walks: Bank, lengths: list[int], figures: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_curve(walks, lengths, figures)
