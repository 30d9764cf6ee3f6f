"""Renewal selection: processes fitted to a chain drafter's hazards have its published fall of position 1.

The parameters are the best draws that `python -m tests.bench.renewal` prints; the fall is compared, not fitted.
"""

import numpy as np
import pytest

from montecarlo.difficulty import Difficulty, sample
from montecarlo.keys import Stream, key
from tests.bench.renewal import CHAINS, FAR, LAG_ONE
from tests.statistics import mean_and_error, within
from traces.spread import lag_one
from traces.step_log import StepLog, walked

FITTED = {
    "GSM8K": Difficulty.of(
        [0.813, 0.622],
        fall=0.071,
        request_sd=0.272,
        short_sd=0.564,
        short_tokens=8.996,
        slow_sd=0.163,
        slow_tokens=46.4,
    ),
    "ShareGPT": Difficulty.of(
        [0.939, 0.503], fall=0.045, request_sd=0.33, short_sd=0.602, short_tokens=2.044, slow_sd=0.963, slow_tokens=94.5
    ),
    "InstructCoder": Difficulty.of(
        [1.389, 0.935], fall=0.029, request_sd=0.214, short_sd=1.344, short_tokens=4.379, slow_sd=0.79, slow_tokens=45.8
    ),
}


def _logs(process: Difficulty) -> tuple[StepLog, StepLog]:
    """The same 800 texts of 512 tokens walked at k = 1 and at k = 10."""
    run = np.asarray(sample(process, key(21, 0, Stream.RUN), requests=800, tokens=512, draft_length=FAR))
    return walked(run, 1), walked(run, FAR)


def _first(log: StepLog) -> tuple[np.ndarray, np.ndarray]:
    """Position-1 acceptance by request, and by 40 groups of 20 requests."""
    counts = np.stack([np.bincount(log.request, log.accepted >= 1), np.bincount(log.request)])
    groups = counts.reshape(2, 40, -1).sum(axis=2)
    return counts[0] / counts[1], groups[0] / groups[1]


@pytest.mark.parametrize("name", CHAINS)
def test_the_fall_is_the_published_one(name: str) -> None:
    hazards, near, far = CHAINS[name]
    one, ten = _logs(FITTED[name])
    reached = np.array([np.mean(ten.accepted >= d) for d in range(8)])
    np.testing.assert_allclose(reached[1:] / reached[:-1], hazards, atol=0.05)
    assert LAG_ONE[0] - 0.04 < lag_one(ten.request, ten.accepted.astype(float)) < LAG_ONE[1] + 0.04
    fall, error = mean_and_error(_first(one)[1] - _first(ten)[1])
    assert error < 0.004
    assert abs(fall - (near - far)) < 0.02
    inside, error = mean_and_error(_first(one)[0] - _first(ten)[0])
    assert inside > 6 * error


def test_a_request_effect_alone_falls_between_requests_only() -> None:
    one, ten = _logs(Difficulty.of([0.8], request_sd=0.5))
    inside, error = mean_and_error(_first(one)[0] - _first(ten)[0])
    within(float(inside), 0.0, float(error), largest=0.002)
    fall, error = mean_and_error(_first(one)[1] - _first(ten)[1])
    assert fall > 4 * error
