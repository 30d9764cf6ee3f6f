"""Fitted profiles against what was measured and not fitted, and the fit against parameters it should find."""

import numpy as np
import pytest

from montecarlo import exact
from montecarlo.routing import Routing
from tests.statistics import all_within, matches, mean_and_error, refused
from traces import profiles
from traces.fit import distinct_by_window, fit, power_popularity

# Distinct experts of n consecutive tokens of gpt-oss-20b, mean over its 24 layers
# (AmanPriyanshu/GPT-OSS-MoE-ExpertFingerprinting@72b368f, 425 non-repetitive requests).
WINDOWS = {2: 6.24, 4: 9.31, 8: 12.88, 16: 16.385, 32: 19.44}

# Qwen3.6-35B-A3B, 256 experts, top-8 (fergusfinn/fergusfinn.github.io@ba95c791,
# src/components/specdec/{WidthVsDepth,ExpertPopularity}.tsx): distinct experts per layer of n tokens of one
# sequence, of one token of n sequences, and each expert's share of the load in percent, ranked.
TOKENS = np.array([1, 2, 3, 4, 6, 8, 12, 16])
DEPTH = np.array([8.0, 13.27, 17.81, 21.85, 29.07, 35.42, 46.18, 55.05])
WIDTH = np.array([8.0, 15.36, 22.15, 28.5, 39.94, 50.08, 67.3, 81.54])
# fmt: off
SHARES = np.array([
    3.284, 2.77, 2.524, 2.281, 2.114, 1.964, 1.857, 1.744, 1.673, 1.591, 1.524, 1.446, 1.379, 1.327, 1.266, 1.228,
    1.192, 1.159, 1.113, 1.08, 1.049, 1.016, 0.991, 0.963, 0.934, 0.917, 0.897, 0.878, 0.863, 0.842, 0.823, 0.809,
    0.796, 0.784, 0.771, 0.76, 0.748, 0.738, 0.725, 0.711, 0.697, 0.687, 0.678, 0.668, 0.658, 0.646, 0.633, 0.621,
    0.613, 0.604, 0.597, 0.588, 0.581, 0.571, 0.564, 0.557, 0.55, 0.543, 0.533, 0.524, 0.517, 0.512, 0.507, 0.5,
    0.493, 0.488, 0.483, 0.476, 0.468, 0.462, 0.457, 0.449, 0.445, 0.439, 0.433, 0.426, 0.417, 0.412, 0.407, 0.402,
    0.397, 0.393, 0.389, 0.383, 0.379, 0.373, 0.368, 0.363, 0.359, 0.354, 0.35, 0.346, 0.342, 0.337, 0.333, 0.33,
    0.327, 0.322, 0.319, 0.314, 0.311, 0.307, 0.304, 0.301, 0.297, 0.293, 0.289, 0.285, 0.281, 0.279, 0.276, 0.272,
    0.269, 0.266, 0.263, 0.259, 0.255, 0.252, 0.249, 0.246, 0.243, 0.24, 0.237, 0.234, 0.231, 0.228, 0.225, 0.222,
    0.219, 0.217, 0.215, 0.212, 0.209, 0.206, 0.203, 0.201, 0.198, 0.194, 0.192, 0.189, 0.187, 0.185, 0.183, 0.181,
    0.179, 0.177, 0.175, 0.172, 0.17, 0.168, 0.166, 0.164, 0.162, 0.16, 0.158, 0.157, 0.155, 0.152, 0.151, 0.148,
    0.146, 0.144, 0.143, 0.141, 0.139, 0.136, 0.135, 0.133, 0.131, 0.129, 0.127, 0.126, 0.124, 0.122, 0.121, 0.119,
    0.118, 0.116, 0.114, 0.111, 0.11, 0.108, 0.106, 0.105, 0.103, 0.102, 0.1, 0.099, 0.097, 0.095, 0.094, 0.093,
    0.091, 0.089, 0.088, 0.087, 0.085, 0.084, 0.082, 0.081, 0.079, 0.078, 0.077, 0.075, 0.073, 0.072, 0.071, 0.07,
    0.068, 0.067, 0.066, 0.064, 0.063, 0.062, 0.061, 0.059, 0.058, 0.057, 0.055, 0.054, 0.053, 0.052, 0.05, 0.049,
    0.048, 0.046, 0.045, 0.044, 0.042, 0.041, 0.04, 0.038, 0.037, 0.036, 0.034, 0.033, 0.032, 0.03, 0.029, 0.028,
    0.026, 0.025, 0.024, 0.023, 0.021, 0.02, 0.019, 0.018, 0.017, 0.015, 0.013, 0.012, 0.01, 0.009, 0.007, 0.005,
])
# fmt: on


def _windows(process: Routing, tokens: int, requests: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """(mean over layers, its standard error) [tokens] from `seeds` independent groups of requests."""
    groups = [distinct_by_window(process, tokens, requests, seed=100 + seed).mean(axis=1) for seed in range(seeds)]
    return mean_and_error(np.array(groups))


def _shipped(name: str) -> tuple[np.ndarray, np.ndarray]:
    process = profiles.routing(profiles.load(name), layers=24, experts=32, top_k=4)
    return _windows(process, 32, 100, 10)


def _has_windows(simulated: tuple[np.ndarray, np.ndarray], windows: dict[int, float], relative: float = 0.015) -> None:
    mean, error = simulated
    for size, measured in windows.items():
        matches(mean[size - 1], measured, error[size - 1], relative=relative, what=f"{size} tokens")


def test_the_shipped_profile_reproduces_the_windows() -> None:
    _has_windows(_shipped("gpt-oss-20b"), WINDOWS, relative=0.02)


def test_popularity_alone_does_not() -> None:
    simulated = _shipped("gpt-oss-20b-popularity")
    for size, measured in WINDOWS.items():
        refused(_has_windows, simulated, {size: measured}, relative=0.02)


def test_the_fit_finds_known_parameters() -> None:
    """Two layers, from 2 and 8 tokens by layer and the mean at 16; independent fits show the error."""
    popularity = np.stack([power_popularity(skew, 32) for skew in (1.0, 1.8)])
    concentration, stickiness = np.array([20.0, 60.0]), np.array([0.2, 0.4])
    truth = Routing.of(popularity=popularity, top_k=4, concentration=concentration, stickiness=stickiness)
    given = distinct_by_window(truth, 16, 20_000, seed=77)
    fits = [
        fit(popularity, 4, {2: given[1], 8: given[7]}, {16: given[15].mean()}, requests=200, seed=seed)
        for seed in range(5)
    ]
    found, error = mean_and_error(np.stack([[np.log(one.concentration), one.stickiness] for one in fits]))
    expected = np.stack([np.log(concentration), stickiness])
    for value, law, spread, largest in zip(found, expected, error, (0.2, 0.02), strict=True):
        all_within(value, law, spread, largest=largest)
        refused(all_within, value, law[::-1], spread, largest=largest)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    """Weights whose draws have the published shares."""
    return exact.weights(SHARES, 8)


def test_popularity_alone_gives_the_width_curve(weights: np.ndarray) -> None:
    """Tokens of different sequences are independent; shares taken as weights, or uniform routing, are off."""
    np.testing.assert_allclose(exact.popular_mean_distinct(weights, 8, TOKENS), WIDTH, rtol=0.005)
    for other in (SHARES, np.ones(256)):
        off = exact.popular_mean_distinct(other, 8, TOKENS) / WIDTH - 1
        assert np.abs(off).max() > 0.0075


def test_a_fit_to_four_depths_predicts_the_others(weights: np.ndarray) -> None:
    """Qwen3.6-35B-A3B: fitted at 2, 4, 8 and 16 tokens, it predicts 3, 6 and 12; popularity alone does not."""
    curve = dict(zip(TOKENS.tolist(), DEPTH.tolist(), strict=True))
    fitted = fit(weights[None], 8, {n: np.array([curve[n]]) for n in (2, 4, 8, 16)}, {}, requests=600)
    held = {n: curve[n] for n in (3, 6, 12)}
    process = Routing.of(
        popularity=weights[None],
        top_k=8,
        concentration=fitted.concentration,
        stickiness=fitted.stickiness,
    )
    _has_windows(_windows(process, 16, 2000, 6), held)
    plain = _windows(Routing.of(popularity=weights[None], top_k=8), 16, 2000, 6)
    for size, measured in held.items():
        refused(_has_windows, plain, {size: measured})


def test_the_shipped_profile_of_published_curves_has_both() -> None:
    """Its windows of one sequence by simulation, and tokens of different sequences by the exact law."""
    process = profiles.routing(profiles.load("qwen3.6-35b-a3b-routing"), layers=1, experts=256, top_k=8)
    _has_windows(_windows(process, 16, 2000, 6), dict(zip(TOKENS.tolist(), DEPTH.tolist(), strict=True)))
    shares = np.array(profiles.load("qwen3.6-35b-a3b-routing").numbers["shares"][0])
    width = exact.popular_mean_distinct(exact.weights(shares, 8), 8, TOKENS)
    np.testing.assert_allclose(width, WIDTH, rtol=0.005)
