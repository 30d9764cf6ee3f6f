"""The routing fit: parameters it should find, and the shipped profile against the trace it was fitted to."""

import numpy as np
import pytest

from montecarlo.text import Text
from tests.bench.routing_coverage import TOKENS, TRUTH
from tests.statistics import all_within, refused
from traces import profiles
from traces.fit_routing import Fit, Simulation, fit
from traces.held_out_routing import SHOWN, batch_windows, independent
from traces.routing_statistics import LAGS, WINDOWS, statistics
from traces.synthesise import synthesise


@pytest.fixture(scope="module")
def found() -> Fit:
    """A fit, from nothing, to 1,000 synthesised requests of 128 tokens and four layers."""
    measured = Simulation(1000, TOKENS, seed=77)(TRUTH.routing)
    return fit(measured, simulation=Simulation(512, 96, seed=1), rounds=2)


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
