"""The routing fit: parameters it should find, and the shipped profile against the trace it was fitted to."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from montecarlo.routing import Routing
from montecarlo.text import Text
from tests.bench.routing_coverage import TOKENS, TRUTH
from tests.statistics import all_within, refused
from traces import profiles
from traces.fit_routing import LOW, NAMES, SECTION_STEP, STEPS, Fit, Parameters, Simulation, deviations, fit, slopes_at
from traces.held_out_routing import SHOWN, batch_windows, independent
from traces.routing_statistics import LAGS, WINDOWS, Statistics, statistics
from traces.synthesise import synthesise


@pytest.fixture(scope="module")
def found() -> Fit:
    """A fit, from nothing, to 1,000 synthesised requests of 128 tokens and four layers."""
    measured = Simulation(1000, TOKENS, seed=77)(TRUTH.routing)
    return fit(measured, simulation=Simulation(512, 96, seed=1))


def test_the_fit_finds_known_parameters(found: Fit) -> None:
    """Within its own standard errors; the parameters of the next layer are refused."""
    error, tokens_error = found.errors
    parts = slice(1, None)
    given = (found.parameters.layer[:, parts], TRUTH.layer[:, parts], error[:, parts])
    all_within(*given, largest=0.05)
    refused(all_within, given[0], np.roll(given[1], 1, axis=0), given[2], largest=0.05)
    tokens = np.log(found.parameters.section_tokens), np.log(TRUTH.section_tokens), tokens_error
    all_within(*tokens, largest=0.2)
    refused(all_within, tokens[0], tokens[1] + np.log(3), tokens[2], largest=0.2)


def test_errors_are_those_of_the_slopes_at_the_solution(found: Fit) -> None:
    """Slopes taken anew, of a longer simulation, say the same within what their noise allows; those elsewhere do not.

    If the moments move by other slopes than a fit holds, what it finds spreads by inv(A J) A influence.
    """
    parts = [i for i in range(4 * len(NAMES) + 1) if i == 4 * len(NAMES) or i % len(NAMES)]  # all but tilt
    here = slopes_at(found.parameters, Simulation(2048, TOKENS, seed=5))
    influence = Simulation(1024, TOKENS, seed=6)(TRUTH.routing).moments()[1]

    def agree(slopes: np.ndarray) -> None:
        units = np.zeros((len(parts), *here.shape[:2]))  # what a move of each part does to the moments
        for row, part in enumerate(parts):
            layer = slice(None) if part == parts[-1] else part // len(NAMES)
            units[row, :, layer] = here[:, layer, len(NAMES) if part == parts[-1] else part % len(NAMES)]
        pull = deviations(slopes, units)[:, parts].T * np.sqrt((len(parts) - 1) / len(parts))
        said = deviations(slopes, influence)[:, parts]
        true = said @ np.linalg.inv(pull).T
        ratio = np.sqrt((true**2).sum(axis=0) / (said**2).sum(axis=0))
        assert np.all((ratio > 1 / 1.6) & (ratio < 1.6)), ratio.round(2)

    agree(found.slopes)
    elsewhere = replace(found.parameters, layer=found.parameters.layer * [1, 0.5, 2, 0.5, 0.5])
    refused(agree, slopes_at(elsewhere, Simulation(512, TOKENS, seed=5)))


def test_neither_curvature_nor_interactions_enter_the_slopes() -> None:
    """Moments that are a quadratic form of all six numbers: exact; at the end of a range, of the next point inside."""
    rng = np.random.default_rng(0)
    weights = np.array([[4.0, 2.0, 1.0, 1.0], [1.0, 3.0, 1.0, 2.0]])
    linear, square = rng.normal(size=(5, 2, 6)), rng.normal(size=(5, 2, 6, 6))

    def numbers(process: Routing) -> np.ndarray:
        log = np.log(process.popularity())
        tilt = (log[:, 0] - log[:, 1]) / np.log(weights[:, 0] / weights[:, 1]) - 1
        topic, section = (
            1 / (1 + np.asarray(x, float)) for x in (process.concentration, process.section_concentration)
        )
        tokens = np.full(2, -np.log(float(process.section_end)))
        back, sticky = (np.asarray(x, float) for x in (process.background, process.stickiness))
        return np.stack([tilt, topic, back, section, sticky, tokens], axis=1)

    class Quadratic(Simulation):
        def __call__(self, process: Routing) -> Statistics:
            x = numbers(process)
            moments = np.einsum("mlk,lk->ml", linear, x) + np.einsum("lj,mljk,lk->ml", x, square, x)
            return cast(Statistics, SimpleNamespace(moments=lambda: (moments, None)))

    inside = np.array([[0.1, 0.06, 0.2, 0.05, 0.25], [-0.1, 0.11, 0.15, 0.06, 0.3]])
    at = Parameters(weights, inside, 10.0, 2)
    slopes = linear + np.einsum("mljk,lk->mlj", square + square.swapaxes(2, 3), numbers(at.routing))
    np.testing.assert_allclose(slopes_at(at, Quadratic()), slopes, atol=1e-3)
    edge = replace(at, layer=np.where(np.arange(5) > 0, LOW, inside), section_tokens=60.0)
    near = replace(at, layer=np.where(np.arange(5) > 0, LOW + STEPS, inside), section_tokens=60 * np.exp(-SECTION_STEP))
    np.testing.assert_array_equal(slopes_at(edge, Quadratic()), slopes_at(near, Quadratic()))
    slopes = linear + np.einsum("mljk,lk->mlj", square + square.swapaxes(2, 3), numbers(near.routing))
    np.testing.assert_allclose(slopes_at(edge, Quadratic()), slopes, atol=1e-3)


def test_errors_shrink_with_the_root_of_what_is_given(found: Fit) -> None:
    """A quarter of the requests: about twice the error, less what the simulation adds to both."""
    measured = Simulation(250, TOKENS, seed=78)(TRUTH.routing)
    fewer = fit(measured, simulation=Simulation(512, 96, seed=1), start=found, rounds=1)
    ratio = fewer.errors[0][:, 1:] / found.errors[0][:, 1:]
    assert 1.1 < np.median(ratio) < 2.1


def _close(model: dict[str, np.ndarray], truth: dict[str, np.ndarray], layer: float, mean: float) -> None:
    for what, value in truth.items():
        assert np.abs(model[what] - value).max() <= layer, what
        assert abs(model[what].mean() - value.mean()) <= mean, what


def test_the_shipped_profile_is_that_of_the_trace(gpt_oss_20b: Text) -> None:
    """Overlap .01 on the mean and .03 per layer, distinct experts 2 % and 5 %, batch x window 3 %; popularity fails."""
    process = profiles.routing(profiles.load("gpt-oss-20b"), layers=24, experts=32, top_k=4)
    blocks = list(synthesise(process, 1024, 96, seed=4))
    rows = np.concatenate([block.reshape(-1, 24, 4) for block in blocks])
    synthetic = Text.of(experts=rows, start=np.arange(0, len(rows) + 1, 96))
    of_text, of_model = (statistics(text, 32).of(np.arange(text.requests)) for text in (gpt_oss_20b, synthetic))

    def named(means: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        overlap = {f"overlap at lag {g}": means["overlap"][LAGS.index(g)] for g in SHOWN}
        return overlap, {f"distinct of {n} tokens": means["distinct"][i] for i, n in enumerate(WINDOWS)}

    load = statistics(gpt_oss_20b, 32).load
    plain = independent(4 * load)
    overlap, distinct = named(of_text)
    _close(named(of_model)[0], overlap, 0.03, 0.01)
    refused(_close, plain, overlap, 0.03, 0.01)
    scale = {what: value / value.mean() for what, value in distinct.items()}
    relative = {what: value / distinct[what] for what, value in named(of_model)[1].items()}
    ones = {what: np.ones_like(value) for what, value in relative.items()}
    _close(relative, ones, 0.05, np.inf)
    means = {what: (value * scale[what]).mean(keepdims=True) for what, value in relative.items()}
    _close(means, {what: np.ones(1) for what in means}, 0.02, 0.02)
    refused(_close, {what: plain[what] / value for what, value in distinct.items()}, ones, 0.05, np.inf)
    batches = (1, 4, 16, 64)
    measured, model = (
        batch_windows(text, 32, np.arange(text.requests), 5, batches) for text in (gpt_oss_20b, synthetic)
    )
    off = [model[what].mean() / measured[what].mean() - 1 for what in measured]
    assert np.abs(off).max() <= 0.03
