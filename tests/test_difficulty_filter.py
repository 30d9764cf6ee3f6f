"""What a log says of its tokens, and the filter's likelihood against brute force and against particles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, qmc

from montecarlo.difficulty import Difficulty
from tests.statistics import refused, within
from traces.difficulty_filter import Parameters, by_request, observed, scores, value_and_gradient
from traces.lanes import MISSING, NEW_REQUEST, NEW_TURN, SAME, Lanes
from traces.step_log import StepLog
from traces.synthesise_steps import steps

OFFSETS, SD, TOKENS = [1.5, 1.0, 0.6], [0.5, 1.2, 0.7], [2.5, 40.0]
PROCESS = Difficulty.of(
    OFFSETS, request_sd=SD[0], short_sd=SD[1], slow_sd=SD[2], short_tokens=TOKENS[0], slow_tokens=TOKENS[1]
)


def _filtered(lanes: Lanes, *, sd=SD, offsets=OFFSETS, slope: float = 0.0, length: np.ndarray | None = None):
    with jax.enable_x64(True):
        at = Parameters(*(jnp.asarray(a, jnp.float64) for a in (offsets, sd, TOKENS, slope)))
        seen = observed(lanes, np.zeros(lanes.requests) if length is None else length)
        return np.asarray(by_request(at, seen, lanes.requests))


def _of(lanes: Lanes, request: int) -> list[tuple[int, int, int]]:
    """(outcome, depth, begins) of a request's tokens, in order."""
    row, lane = np.nonzero(lanes.request == request)
    assert len(set(lane)) == 1
    np.testing.assert_array_equal(np.diff(row), 1)
    cells = [array[row, lane] for array in (lanes.outcome, lanes.depth, lanes.begins)]
    return [tuple(int(v) for v in cell) for cell in zip(*cells, strict=True)]


def test_every_token_is_decided_at_most_once() -> None:
    """Accepted drafts, the correction as a rejection one deeper; bonus and cut steps as nothing; turns; any drafts."""
    log = StepLog.of(
        request=[0, 0, 0, 1, 1],
        turn=[0, 0, 1, 0, 0],
        drafted=[3, 2, 3, 3, 3],
        accepted=[1, 2, 2, 0, 3],
        cut=[False, False, True, False, False],
    )
    lanes = Lanes.of(log)
    assert lanes.requests == 2
    assert lanes.depths == 3
    assert _of(lanes, 0) == [
        (1, 0, NEW_REQUEST), (0, 1, SAME),  # one accepted, the second rejected
        (1, 0, SAME), (1, 1, SAME), (MISSING, 0, SAME),  # both accepted, a bonus
        (1, 0, NEW_TURN), (1, 1, SAME), (MISSING, 0, SAME),  # cut: the third is not known to be rejected
    ]  # fmt: skip
    assert _of(lanes, 1) == [
        (0, 0, NEW_REQUEST),
        (1, 0, SAME), (1, 1, SAME), (1, 2, SAME), (MISSING, 0, SAME),
    ]  # fmt: skip
    padding = lanes.request == 2
    assert np.all(lanes.outcome[padding] == MISSING)


def test_lanes_hold_every_request_whole() -> None:
    random = np.random.default_rng(0)
    request = np.repeat(np.arange(60), random.integers(1, 90, 60))
    log = StepLog.of(request=request, drafted=3, accepted=random.integers(0, 4, len(request)))
    lanes = Lanes.of(log)
    for one in range(60):
        assert len(_of(lanes, one)) == log.tokens[one]
    assert np.mean(lanes.request < 60) > 0.3


def _brute(outcome: list[int], depth: list[int], turn: list[int]) -> float:
    """log E prod sigmoid(+-(offset + z)) over the Gaussian path of one request, by Sobol points."""
    tokens = len(outcome)
    lag = np.abs(np.subtract.outer(np.arange(tokens), np.arange(tokens)))
    same = np.equal.outer(turn, turn)
    covariance = SD[0] ** 2 + same * (SD[1] ** 2 * np.exp(-lag / TOKENS[0]) + SD[2] ** 2 * np.exp(-lag / TOKENS[1]))
    values, axes = np.linalg.eigh(covariance)
    points = norm.ppf(qmc.Sobol(tokens, rng=np.random.default_rng(1)).random(2**17))
    path = points @ (axes * np.sqrt(values))[:, ::-1].T
    there = np.array(outcome) != MISSING
    signs = np.where(np.array(outcome) == 1, 1, -1)
    chance = expit(signs * (np.array(OFFSETS)[depth] + path))
    return float(np.log(np.mean(np.prod(chance[:, there], axis=1))))


@pytest.mark.parametrize(
    ("accepted", "turn"),
    [([0], [0]), ([3], [0]), ([1, 0, 0], [0, 0, 0]), ([0, 0, 0, 0, 0, 0], [0] * 6), ([3, 0, 2, 0, 1], [0] * 5),
     ([3, 3, 3], [0, 1, 2]), ([0, 0, 0, 2, 0], [0, 0, 0, 1, 1])],
)  # fmt: skip
def test_the_likelihood_is_that_of_brute_force(accepted: list[int], turn: list[int]) -> None:
    """Within 0.015 of log likelihood, of up to 12 outcomes; a process without its short part is 0.05 off or more."""
    log = StepLog.of(request=np.zeros(len(accepted)), turn=turn, drafted=3, accepted=accepted)
    lanes = Lanes.of(log)
    outcome, depth, begins = zip(*_of(lanes, 0), strict=True)
    exact = _brute(list(outcome), list(depth), np.cumsum(np.array(begins) == NEW_TURN).tolist())
    assert _filtered(lanes)[0] == pytest.approx(exact, abs=0.015)
    if len(outcome) > 4:
        assert abs(_filtered(lanes, sd=[0.5, 0.0, 0.7])[0] - exact) > 0.05


def _particles(outcome: np.ndarray, depth: np.ndarray, number: int, random: np.random.Generator) -> float:
    """Log likelihood of one request by a bootstrap particle filter (Gordon, Salmond and Smith, 1993)."""
    stays = np.exp(-1 / np.array(TOKENS))
    state = random.standard_normal((2, number)) * np.array(SD[1:])[:, None]
    request = SD[0] * random.standard_normal(number)
    total = 0.0
    for y, d in zip(outcome, depth, strict=True):
        if y != MISSING:
            weight = expit((1 if y else -1) * (OFFSETS[d] + request + state.sum(axis=0)))
            total += np.log(weight.mean())
            places = (random.random() + np.arange(number)) / number
            chosen = np.minimum(np.searchsorted(np.cumsum(weight) / weight.sum(), places), number - 1)
            state, request = state[:, chosen], request[chosen]
        noise = random.standard_normal((2, number)) * (np.array(SD[1:]) * np.sqrt(1 - stays**2))[:, None]
        state = stays[:, None] * state + noise
    return float(total)


def test_the_likelihood_of_whole_requests_is_that_of_particles() -> None:
    log = steps(PROCESS, requests=6, tokens=120, draft_length=3, seed=4)
    lanes = Lanes.of(log)
    random = np.random.default_rng(2)
    rows = [np.array(_of(lanes, one)) for one in range(6)]
    estimates = np.array([[_particles(r[:, 0], r[:, 1], 8_000, random) for r in rows] for _ in range(4)])
    total = estimates.sum(axis=1)
    error = total.std(ddof=1) / 2
    within(_filtered(lanes).sum(), total.mean(), np.hypot(error, 0.02), largest=0.2)
    refused(within, _filtered(lanes, sd=[0.5, 1.6, 0.7]).sum(), total.mean(), np.hypot(error, 0.02), largest=0.2)


def test_requests_do_not_depend_on_their_neighbours() -> None:
    log = steps(PROCESS, requests=40, tokens=80, draft_length=3, seed=5)
    together = _filtered(Lanes.of(log))
    for one in (0, 17, 39):
        alone = _filtered(Lanes.of(log.of_requests(np.array([one]))))
        np.testing.assert_allclose(alone[0], together[one], rtol=1e-12)
    twice = _filtered(Lanes.of(log.of_requests(np.array([3, 17, 3]))))
    np.testing.assert_allclose(twice, together[[3, 17, 3]], rtol=1e-12)


def test_length_moves_the_offsets_of_its_request() -> None:
    log = steps(PROCESS, requests=3, tokens=60, draft_length=3, seed=6)
    lanes = Lanes.of(log)
    shifted = _filtered(lanes, slope=0.5, length=np.array([0.4, 0.0, -1.0]))
    for request, shift in enumerate((0.2, 0.0, -0.5)):
        expected = _filtered(lanes, offsets=np.array(OFFSETS) + shift)[request]
        np.testing.assert_allclose(shifted[request], expected, rtol=1e-12)


def test_gradients_are_exact_and_nothing_global_changes() -> None:
    log = steps(PROCESS, requests=6, tokens=60, draft_length=3, seed=7)
    lanes = Lanes.of(log)
    with jax.enable_x64(True):
        at = Parameters(*(jnp.asarray(a) for a in (OFFSETS, SD, TOKENS, 0.1)))
        seen = observed(lanes, np.linspace(-1, 1, 6))
        weight = jnp.asarray([1.0, 1, 2, 0, 1, 1])
        _, slope = value_and_gradient(at, seen, weight, 6)
        by = scores(at, seen, 6)
        for part in Parameters._fields:
            np.testing.assert_allclose(weight @ getattr(by, part), getattr(slope, part), rtol=1e-9, atol=1e-12)
        for part, i in (("offsets", 1), ("sd", 0), ("sd", 1), ("tokens", 0), ("tokens", 1), ("length_slope", ())):
            value = []
            for sign in (1, -1):
                moved = at._replace(**{part: getattr(at, part).at[i].add(sign * 1e-5)})
                value.append(float(weight @ by_request(moved, seen, 6)))
            assert (value[0] - value[1]) / 2e-5 == pytest.approx(float(getattr(slope, part)[i]), rel=1e-5, abs=1e-7)
    assert jnp.zeros(1).dtype == jnp.float32
    assert not jax.config.jax_enable_x64
