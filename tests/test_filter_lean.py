"""The filter's mean score, which an exact likelihood does not have, and the fit that is rid of it."""

import numpy as np
import pytest

from tests.statistics import all_within, mean_and_error, refused
from traces.difficulty_likelihood import Floats, Likelihood, process_of
from traces.filter_lean import mean_score
from traces.fit_acceptance import STARTS, fit
from traces.step_log import StepLog
from traces.synthesise_steps import steps, steps_like

# Strong slow difficulty: what is known of it is far from Gaussian, and the filter keeps a Gaussian.
SLOW = np.array([2.0, 1.0, 0.3, 0.5, 2.0, np.log(2.0), np.log(20.0), 0.0])
NONE = np.array([1.5, 0.8, 0.0, 0.0, 0.0, np.log(2.0), np.log(40.0), 0.0])
LOGS = 48


def _log(theta: Floats) -> StepLog:
    return steps(process_of(theta), requests=64, tokens=250, draft_length=2, seed=1)


def _scores(theta: Floats, seed: int) -> Floats:
    """Scores [LOGS, P - 1] at theta of logs that theta leaves; all texts are as long, so the slope has none."""
    log, process = _log(theta), process_of(theta)
    drawn = [steps_like(process, log, seed=seed, world=world) for world in range(LOGS)]
    return np.array([Likelihood.of(one, 2)(theta)[1][:-1] for one in drawn])


def test_the_mean_score_takes_the_lean_off_other_logs() -> None:
    lean = mean_score(_log(SLOW), SLOW, logs=LOGS, seed=2)[:-1]
    mean, error = mean_and_error(_scores(SLOW, seed=3))
    both, largest = error * np.sqrt(2), 0.4 * error.max() * np.sqrt(LOGS)
    all_within(mean - lean, np.zeros(7), both, largest=largest)
    refused(all_within, mean, np.zeros(7), error, largest=largest)


def test_without_difficulty_there_is_no_lean() -> None:
    """The filter is exact there: the scores of the offsets average to 0, at other offsets they do not."""
    mean, error = mean_and_error(_scores(NONE, seed=3)[:, :2])
    all_within(mean, np.zeros(2), error, largest=6)
    moved = NONE - 0.05 * (np.arange(8) < 2)
    log, process = _log(NONE), process_of(NONE)
    drawn = [Likelihood.of(steps_like(process, log, seed=3, world=w), 2)(moved)[1][:2] for w in range(LOGS)]
    mean, error = mean_and_error(np.array(drawn))
    refused(all_within, mean, np.zeros(2), error, largest=6)


def test_the_fit_is_the_maximum_less_the_lean() -> None:
    log = _log(SLOW)
    highest, found = (fit(log, starts=STARTS[:1], simulated=logs) for logs in (0, 16))
    np.testing.assert_allclose(found.theta + found.lean, highest.theta, atol=1e-9)
    np.testing.assert_allclose(found.lean, np.nan_to_num(highest.information) @ mean_score(log, highest.theta, logs=16))
    for name in ("information", "sandwich"):
        np.testing.assert_allclose(getattr(found, name), getattr(highest, name) * (1 + 1 / 16))
    assert found.log_likelihood == highest.log_likelihood
    assert found.lean[-1] == 0  # texts as long: no slope


@pytest.mark.parametrize("name", ["sd", "offset"])
def test_a_corrected_fit_stays_in_its_range(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far the simulated score says to go."""
    at = {"sd": 2, "offset": 0}[name]
    score = 1e6 * (np.arange(8) == at)
    monkeypatch.setattr("traces.fit_acceptance.mean_score", lambda *_, **__: score)
    theta = fit(_log(SLOW), starts=STARTS[:1], simulated=1).theta
    bounds = np.array(Likelihood.of(_log(SLOW)).bounds)
    assert np.all((bounds[:, 0] <= theta) & (theta <= bounds[:, 1]))
