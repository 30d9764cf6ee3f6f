"""The difficulty process: its runs against quadrature, closed forms, and what walking over them selects."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from montecarlo.difficulty import Difficulty, paths, runs_along, sample, survival
from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from tests.statistics import all_within, mean_and_error, refused, within

STREAM = key(3, 0, Stream.RUN)
RICH = Difficulty.of(
    [1.6, 1.2, 1.0], fall=0.1, request_sd=0.5, short_sd=1.2, short_tokens=3.0, slow_sd=0.7, slow_tokens=60.0
)
K = 6


def _plain_walk(run: np.ndarray, draft_length: int) -> list[tuple[int, int]]:
    """(start, accepted) of every step over one text, written out."""
    steps, at = [], 0
    while at < len(run) - 1:
        accepted = min(int(run[at]), draft_length)
        steps.append((at, accepted))
        at += accepted + 1
    return steps


@pytest.fixture(scope="module")
def runs() -> np.ndarray:
    """Runs [4000, 400] of the rich process, 6 drafts."""
    return np.asarray(sample(RICH, STREAM, requests=4000, tokens=400, draft_length=K))


def _has_survival(runs: np.ndarray, process: Difficulty) -> None:
    inside = runs[:, : -runs.max()]  # starts whose drafts the text's end does not limit
    found, error = mean_and_error(np.stack([np.mean(inside >= d, axis=1) for d in range(1, K + 1)], axis=1))
    expected, numerical = survival(process, K)
    assert numerical.max() < 1e-4
    all_within(found, expected, error, largest=0.004)


def test_runs_have_the_survival_of_the_quadrature(runs: np.ndarray) -> None:
    _has_survival(runs, RICH)


@pytest.mark.parametrize("coupling", ["start", "token"])
def test_both_couplings_have_it(coupling: str) -> None:
    found = sample(RICH, key(5, 0, Stream.RUN), requests=4000, tokens=200, draft_length=K, coupling=coupling)
    _has_survival(np.asarray(found), RICH)


@pytest.mark.parametrize(
    "change",
    [{"request_sd": 0.0}, {"short_sd": 0.9}, {"short_tokens": 1.0}, {"slow_sd": 0.0}, {"fall": 0.3}],
)
def test_another_process_is_told_apart(runs: np.ndarray, change: dict[str, float]) -> None:
    known = {"fall": 0.1, "request_sd": 0.5, "short_sd": 1.2, "short_tokens": 3.0, "slow_sd": 0.7, "slow_tokens": 60.0}
    refused(_has_survival, runs, Difficulty.of([1.6, 1.2, 1.0], **{**known, **change}))


def test_the_quadrature_has_its_closed_forms() -> None:
    offsets = np.array([1.2, 0.4, -0.3])
    np.testing.assert_allclose(survival(Difficulty.of(offsets), 3)[0], np.cumprod(expit(offsets)), rtol=1e-6)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    ease = 0.9 * nodes[:, None]
    expected = weights / weights.sum() @ np.cumprod(expit(offsets + ease), axis=1)
    np.testing.assert_allclose(survival(Difficulty.of(offsets, request_sd=0.9), 3)[0], expected, rtol=1e-4)
    grid = np.linspace(-8, 8, 801)
    first, second = np.meshgrid(grid, grid, indexing="ij")
    stays = np.exp(-1 / 2.0)
    density = norm.pdf(first) * norm.pdf(second, stays * first, np.sqrt(1 - stays**2))
    both = np.sum(density * expit(1.2 + 1.5 * first) * expit(0.4 + 1.5 * second)) * (grid[1] - grid[0]) ** 2
    found = survival(Difficulty.of(offsets, short_sd=1.5, short_tokens=2.0), 2)[0]
    assert found[1] == pytest.approx(both, rel=1e-4)


def test_paths_are_stationary_with_the_stated_covariance() -> None:
    ease = np.asarray(paths(RICH, STREAM, requests=60_000, tokens=40), np.float64)
    for at, lag in ((0, 0), (39, 0), (0, 1), (38, 1), (0, 5), (20, 15)):
        product = ease[at] * ease[at + lag]
        expected = 0.25 + 1.44 * np.exp(-lag / 3) + 0.49 * np.exp(-lag / 60)
        within(product.mean(), expected, product.std() / np.sqrt(product.size), largest=0.02)
        refused(within, product.mean(), expected + 0.1, product.std() / np.sqrt(product.size), largest=0.02)


def test_longer_texts_more_requests_and_deeper_drafts_keep_what_was_there() -> None:
    small = np.asarray(sample(RICH, STREAM, requests=5, tokens=30, draft_length=3))
    large = np.asarray(sample(RICH, STREAM, requests=9, tokens=50, draft_length=8))
    left = np.arange(29, -1, -1)
    np.testing.assert_array_equal(small, np.minimum(np.minimum(large, 3)[:5, :30], left))
    assert np.all(small[:, -1] == 0)


def test_one_coin_per_token_makes_runs_that_agree() -> None:
    """Without decay by depth a token is accepted or not: the run shrinks by one from start to start."""
    flat = Difficulty.of([1.0], short_sd=1.0, short_tokens=4.0)
    shared = np.asarray(sample(flat, STREAM, requests=50, tokens=200, draft_length=40, coupling="token"))
    before, after = shared[:, :-1], shared[:, 1:]
    counted = (before >= 1) & (before < 40)  # a run of 40 is censored
    np.testing.assert_array_equal(after[counted], before[counted] - 1)
    assert counted.mean() > 0.3
    fresh = np.asarray(sample(flat, STREAM, requests=50, tokens=200, draft_length=40))
    deeper = fresh[:, :-1] >= 1
    assert np.mean(fresh[:, 1:][deeper] == fresh[:, :-1][deeper] - 1) < 0.8


def test_offsets_go_on_in_a_straight_line() -> None:
    np.testing.assert_allclose(RICH.logits(6), [1.6, 1.2, 1.0, 0.9, 0.8, 0.7], rtol=1e-6)
    np.testing.assert_allclose(Difficulty.of([2.0]).logits(3), 2.0)
    np.testing.assert_allclose(RICH.logits(2), [1.6, 1.2], rtol=1e-6)


def _fall(process: Difficulty, far: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Position-1 acceptance at k = 1 less that at k = far: (over all steps [groups], within requests [requests])."""
    run = np.asarray(sample(process, key(9, 0, Stream.RUN), requests=1500, tokens=300, draft_length=far))
    counts = np.zeros((2, 2, len(run)))
    for i, k in enumerate((1, far)):
        for request, one in enumerate(run):
            first = [accepted >= 1 for _, accepted in _plain_walk(one, k)]
            counts[i, :, request] = sum(first), len(first)
    groups = counts.reshape(2, 2, 30, 50).sum(axis=3)
    return groups[0, 0] / groups[0, 1] - groups[1, 0] / groups[1, 1], np.subtract(*(counts[:, 0] / counts[:, 1]))


def test_walking_selects_hard_starts() -> None:
    """Difficulty in the text: the fall is there within requests; a request effect alone re-weights requests only."""
    overall, inside = _fall(RICH)
    mean, error = mean_and_error(inside)
    assert mean > 0.02
    assert mean > 10 * error
    assert mean_and_error(overall)[0] > 0.03
    mixed, alone = _fall(Difficulty.of([1.6, 1.2, 1.0], fall=0.1, request_sd=0.5))
    mean, error = mean_and_error(alone)
    within(mean, 0.0, error, largest=0.0015)
    assert mean_and_error(mixed)[0] < 0.022
    none, _ = _fall(Difficulty.of([1.0]))
    within(none.mean(), 0.0, mean_and_error(none)[1], largest=0.002)


def test_stacked_processes_map() -> None:
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), RICH, Difficulty.of([0.0, 0.0, 0.0]))
    ease = jax.vmap(lambda one: paths(one, STREAM, requests=3, tokens=20))(both)
    assert ease.shape == (2, 20, 3)
    np.testing.assert_array_equal(ease[1], 0)
    run = jax.vmap(lambda one, z: runs_along(one, z, STREAM, draft_length=2))(both, ease)
    np.testing.assert_array_equal(run[0], runs_along(RICH, ease[0], STREAM, draft_length=2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"offsets": []}, "at least one finite logit"),
        ({"offsets": [1.0, np.nan]}, "at least one finite logit"),
        ({"offsets": "many"}, "must be a list of logits"),
        ({"offsets": [1.0], "short_sd": -1.0}, "short_sd is -1.0"),
        ({"offsets": [1.0], "request_sd": np.inf}, "request_sd is inf"),
        ({"offsets": [1.0], "fall": -0.1}, "fall is -0.1"),
        ({"offsets": [1.0], "slow_tokens": 0.0}, "slow_tokens is 0.0; a time scale"),
        ({"offsets": [1.0], "short_sd": 1.0, "slow_sd": 1.0, "short_tokens": 9.0, "slow_tokens": 3.0}, "the shorter"),
    ],
)
def test_faults_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Difficulty.of(given.pop("offsets"), **given)
