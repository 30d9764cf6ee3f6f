"""Calibration on made-up engines whose terms are known: what data inform comes back, intervals cover what they say."""

from functools import cache

import numpy as np
import pytest

from montecarlo.keys import Stream, generator
from montecarlo.terms import NAMES
from studies import calibrate, forward, prices
from studies.calibrate import Observed, Posterior, fit
from tests import statistics
from tests.synthetic_engine import GIVEN, NONE, PRIORS, load, measured

ENGINES, FEW, WORLDS = 100, 20, 120
SIGMA = calibrate.DISCREPANCY


def noise(engine: int, sigma: float, of: int = 0) -> np.ndarray:
    return sigma * np.random.default_rng((engine, of)).standard_normal((2, NONE.size))


@cache
def fitted(engine: int, sigma: float = SIGMA) -> Posterior:
    """The posterior of made-up engine number `engine`, a draw of the priors, measured with noise of `sigma`."""
    return fit(GIVEN, PRIORS, load(), measured(PRIORS.draw(1, engine), load(), noise(engine, sigma)))


def test_without_noise_and_with_a_small_discrepancy_times_come_back() -> None:
    """Terms that move times alike cannot be told apart; what they make together can."""
    true = PRIORS.draw(2, 5)
    exact = measured(true, load(), np.zeros((2, NONE.size)))
    found = fit(GIVEN, PRIORS, load(), exact, discrepancy=1e-3)
    assert found.discrepancy == 1e-3
    assert np.abs(found.residuals).max() < 2e-3
    again = forward.times(GIVEN, load(), [PRIORS.at(found.normals)])
    np.testing.assert_allclose(again.step[0], exact.step, rtol=2e-3)
    fixed = [NAMES.index(name) for name in ("step_seconds", "layer_seconds", "moe_layer_seconds")]
    layers = np.array([1.0, 24.0, 24.0])
    best = PRIORS.at(found.normals)
    together = [float(layers @ [getattr(one, NAMES[i]) for i in fixed]) for one in (true, best)]
    assert together[1] == pytest.approx(together[0], rel=0.05)


def test_terms_that_no_row_without_drafts_sees_keep_their_priors() -> None:
    found = fitted(0)
    for name in ("drafted_step_seconds", "pass_seconds", "peak_fp4"):
        at = NAMES.index(name)
        assert abs(found.normals[at]) < 1e-6
        assert found.kept[at] == pytest.approx(1, abs=1e-6)
    assert not {"drafted_step_seconds", "pass_seconds"} & set(found.informed())
    kept = np.median([fitted(engine).kept for engine in range(FEW)], axis=0)
    for name in ("expert_bandwidth", "step_seconds"):
        assert kept[NAMES.index(name)] < calibrate.INFORMED, name
    assert kept[NAMES.index("moe_layer_seconds")] < 0.99  # known from the kernels already: informed a little


def test_no_rows_leave_the_priors() -> None:
    found = fit(GIVEN, PRIORS, load(), Observed(NONE, NONE, NONE))
    assert not found.informed()
    np.testing.assert_array_equal(found.kept, np.ones(len(NAMES)))
    assert found.draw(3, 4) == PRIORS.draw(3, 4)


def true_normals() -> list[np.ndarray]:
    """The normals of every engine's terms."""
    return [generator(1, engine, Stream.PRICES).standard_normal(len(NAMES)) for engine in range(ENGINES)]


def normal_scores() -> np.ndarray:
    """(true - fitted) / standard deviation of every term of every engine [engines, terms], in normals."""
    fits = [fitted(engine) for engine in range(ENGINES)]
    return np.array([(z - found.normals) / found.kept for z, found in zip(true_normals(), fits, strict=True)])


def test_terms_lie_in_their_intervals_as_often_as_these_say() -> None:
    """90 % intervals with 100 engines, within 4 binomial errors of .03; intervals half as wide fail.

    Not of step_seconds: data bound it from above alone, and Laplace's normal is too narrow there (75 % inside).
    """
    error = np.sqrt(0.9 * 0.1 / ENGINES)
    named = [NAMES.index(name) for name in ("expert_bandwidth", "bandwidth", "moe_layer_seconds", "straggler")]
    scores = np.abs(normal_scores())[:, named]
    statistics.all_within((scores < 1.645).mean(axis=0), 0.9, error, largest=0.031)
    statistics.refused(statistics.all_within, (scores < 1.645 / 2).mean(axis=0), 0.9, error, largest=0.031)


@cache
def drafted_ratios() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln s(3) / s(0) of each engine at concurrency 16: measured [engines], and drawn with a discrepancy and without."""
    row, truth, drawn = 4, [], []
    for engine in range(ENGINES):
        true, posterior = PRIORS.draw(1, engine), fitted(engine)
        before = measured(true, load(), noise(engine, SIGMA)).step
        after = measured(true, load(3, 2.0), noise(engine, SIGMA, 1)).step
        truth.append(np.log(after[row] / before[row]))
        worlds = [posterior.draw(9, engine * WORLDS + world) for world in range(WORLDS)]
        times = [forward.times(GIVEN, traffic, worlds).step[:, row] for traffic in (load(3, 2.0), load())]
        drawn.append(np.log(times[0] / times[1]))
    more = np.sqrt(2) * SIGMA * np.random.default_rng(3).standard_normal((ENGINES, WORLDS))
    return np.array(truth), np.array(drawn) + more, np.array(drawn)


def covered(truth: np.ndarray, drawn: np.ndarray) -> float:
    low, high = np.quantile(drawn, [0.05, 0.95], axis=1)
    return float(np.mean((low <= truth) & (truth <= high)))


def test_predicted_step_ratios_cover_what_their_intervals_say() -> None:
    """The control is the ratio at terms known exactly: without a discrepancy its interval is nothing."""
    truth, drawn, _ = drafted_ratios()
    error = np.sqrt(0.9 * 0.1 / ENGINES)
    statistics.within(covered(truth, drawn), 0.9, error, largest=0.031)
    middle = np.median(drawn, axis=1, keepdims=True)
    statistics.refused(statistics.within, covered(truth, middle + 0.3 * (drawn - middle)), 0.9, error, largest=0.031)


def test_birges_factor_finds_a_larger_discrepancy_and_leaves_a_smaller_one() -> None:
    """Noise of 20 %: found within a factor of 1.5 on average; noise of 1 %: the stated 5 % stays."""
    wide = [fitted(engine, 0.20).discrepancy for engine in range(FEW)]
    assert 0.2 / 1.5 < float(np.exp(np.mean(np.log(wide)))) < 0.2 * 1.5
    assert [fitted(engine, 0.01).discrepancy for engine in range(3)] == [SIGMA] * 3


def test_without_birges_factor_noise_is_taken_for_terms() -> None:
    """20 % of noise read as 5 %: intervals of terms then cover far less than with the factor."""

    def share(fits: list[Posterior]) -> float:
        names = [NAMES.index(name) for name in ("expert_bandwidth", "moe_layer_seconds", "straggler")]
        off = [np.abs(z - f.normals) / f.kept for z, f in zip(true_normals(), fits, strict=False)]
        return float(np.mean(np.array(off)[:, names] < 1.645))

    assert share([once(engine) for engine in range(FEW)]) < share([fitted(engine, 0.20) for engine in range(FEW)]) - 0.1


def once(engine: int) -> Posterior:
    """A fit that never widens its 5 %."""
    rows = measured(PRIORS.draw(1, engine), load(), noise(engine, 0.20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "ROUNDS", 1)
        return fit(GIVEN, PRIORS, load(), rows)


def test_the_joint_of_a_prices_file_draws_what_the_posterior_does(tmp_path) -> None:
    """Means and deviations of informed terms, on their own scale, of 400 draws of each; read back from TOML."""
    posterior = fitted(3)
    path = tmp_path / "mine.toml"
    path.write_text(prices.File(title="made up", joint=posterior.joint()).toml())
    read = prices.load(str(path), "h100-sxm", "mxfp4")
    for name in posterior.informed():
        given, file = (
            np.array([prices.link(name, getattr(source.draw(5, world), name)) for world in range(400)])
            for source in (posterior, read)
        )
        error = given.std() / np.sqrt(400)
        statistics.within(file.mean(), given.mean(), np.sqrt(2) * error, largest=1)
        assert file.std() == pytest.approx(given.std(), rel=0.25), name
