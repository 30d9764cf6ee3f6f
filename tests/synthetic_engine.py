"""A made-up engine whose terms are known: what a benchmark of it would report, row by row."""

from dataclasses import replace

import numpy as np

from montecarlo.drafter import Eagle3
from montecarlo.terms import Terms
from studies import catalog, forward, prices
from studies.calibrate import Observed
from studies.forward import Deployment, Load

TARGET, HARDWARE = "gpt-oss-20b", "h100-sxm"
PRIORS = prices.load("achieved", HARDWARE, "mxfp4")
CONCURRENCY = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
NONE = np.full(CONCURRENCY.size, np.nan)


def deployment() -> Deployment:
    target = catalog.target(TARGET)
    overlap = forward.overlap("qwen3.6-35b-a3b", target)
    return Deployment(target, catalog.hardware(HARDWARE), Eagle3.of(target), overlap)


GIVEN = deployment()


def load(draft_length: float = 0.0, tokens_per_step: float = 1.0) -> Load:
    """Eight concurrencies of 2,000 tokens in and 500 out."""
    ones = np.ones(CONCURRENCY.size)
    return Load(CONCURRENCY, draft_length * ones, tokens_per_step * ones, 2000 * ones, 500 * ones)


def measured(terms: Terms, traffic: Load, noise: np.ndarray) -> Observed:
    """Step seconds and time per token of an engine of `terms`, off by factors exp(noise) [2, rows]."""
    times = forward.times(GIVEN, traffic, [terms])
    step, token = (values[0] * np.exp(off) for values, off in zip((times.step, times.token), noise, strict=True))
    return Observed(step, token, NONE)


def bench(row: int, terms: Terms) -> dict[str, object]:
    """A row without drafts as `vllm bench serve --save-result` writes it (vllm/benchmarks/serve.py)."""
    times = forward.times(GIVEN, replace(load()), [terms])
    step, token, rate = (float(values[0, row]) for values in (times.step, times.token, times.rate))
    return {
        "date": "20260101-000000",
        "model_id": "made-up/model",
        "num_prompts": 64,
        "completed": 64,
        "failed": 0,
        "request_rate": "inf",
        "max_concurrency": int(CONCURRENCY[row]),
        "total_input_tokens": 64 * 2000,
        "total_output_tokens": 64 * 500,
        "output_throughput": rate,
        "median_itl_ms": 1e3 * step,
        "mean_itl_ms": 1e3 * token,
        "mean_tpot_ms": 1e3 * token,
    }
