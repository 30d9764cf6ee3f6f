"""Fitted routing held against requests it did not see: overlap, distinct experts of windows, and of batches of windows.

    overlap at lag g       of tokens g apart in one request (traces/routing_statistics.py)
    distinct of n tokens   of a window of n tokens of one request
    B requests x n tokens  distinct experts of B requests drawn alike, with a window of n tokens anywhere in each

Requests are dealt into two halves, category by category (and long ones apart), and each half is predicted by the fit to
the other. Beside it what popularity alone says (the other half's shares, tokens independent), and uniform routing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from montecarlo import exact
from montecarlo.text import Text
from traces.fit_routing import TURNS, Fit, Simulation, fit
from traces.routing_statistics import LAGS, WINDOWS, Statistics, bitsets, statistics

SHOWN = (1, 2, 8, 32)  # lags
BATCHES, DEPTHS = (1, 4, 16), (1, 2, 4, 8)
DRAWS = 1000  # batches
TRAINING, PREDICTION = Simulation(768, seed=11), Simulation(1024, seed=12)
SIMULATIONS = 2 * (1 + TURNS)  # a round for each half
Figures = dict[str, np.ndarray]  # name -> value by layer


@dataclass(frozen=True)
class Row:
    """One figure, mean over layers: held out (se: over requests) and predicted, and errors.

    Errors are predicted minus held out: relative, but differences for overlap. worst_layer: the largest of a layer.
    """

    figure: str
    held_out: float
    se: float | None
    predicted: float
    error: float
    worst_layer: float
    popularity: float
    uniform: float


def held_out(
    text: Text,
    experts: int,
    whole: Fit,
    category: np.ndarray,
    begins: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Rows of both halves together; `whole`: the fit to all requests, whose slopes are used again.

    category [requests]; `begins` is called before each of SIMULATIONS.
    """
    half = folds(2 * category + (text.lengths > LAGS[-1]), 2)
    requests = [np.flatnonzero(half == one) for one in (0, 1)]
    fewest = min(int(np.sum(text.lengths[some] >= max(DEPTHS))) for some in requests)
    batches = tuple(batch for batch in BATCHES if batch <= fewest)
    seen = [statistics(text, experts, some) for some in requests]
    truth, errors, predicted, popularity = [], [], [], []
    top_k, layers = whole.parameters.top_k, len(whole.parameters.weights)
    for one in (0, 1):
        found = fit(seen[1 - one], simulation=replace(TRAINING, begins=begins), start=whole, rounds=1)
        model = PREDICTION.text(found.parameters.routing)
        truth.append(figures(seen[one]) | batch_windows(text, experts, requests[one], one, batches))
        errors.append(_errors(seen[one]))
        everyone = np.arange(model.requests)
        predicted.append(
            figures(statistics(model, experts)) | batch_windows(model, experts, everyone, 2 + one, batches)
        )
        popularity.append(independent(np.stack([exact.inclusion(one, top_k) for one in found.parameters.weights])))
    uniform = independent(np.full((layers, experts), top_k / experts))
    rows = []
    for figure in truth[0]:
        real, said = (np.mean([one[figure] for one in both], axis=0) for both in (truth, predicted))

        def off(value: np.ndarray, real: np.ndarray = real, figure: str = figure) -> np.ndarray:
            return value - real if figure.startswith("overlap") else value / real - 1

        plain = np.mean([one[figure] for one in popularity], axis=0)
        by_layer = off(said)
        rows.append(
            Row(
                figure=figure,
                held_out=float(real.mean()),
                se=float(np.hypot(errors[0][figure], errors[1][figure]) / 2) if figure in errors[0] else None,
                predicted=float(said.mean()),
                error=float(off(said.mean(), real.mean())),
                worst_layer=float(by_layer[np.argmax(np.abs(by_layer))]),
                popularity=float(off(plain.mean(), real.mean())),
                uniform=float(off(uniform[figure].mean(), real.mean())),
            )
        )
    return rows


def folds(stratum: np.ndarray, count: int) -> np.ndarray:
    """The fold of each request: requests of a stratum, shuffled, are dealt out in turn, the next one going on."""
    order = np.lexsort((np.random.default_rng(0).permutation(len(stratum)), stratum))
    fold = np.empty(len(stratum), int)
    fold[order] = np.arange(len(stratum)) % count
    return fold


def figures(seen: Statistics) -> Figures:
    """Overlap and distinct experts by layer."""
    means = seen.of(np.arange(len(seen.tokens)))
    found = {f"distinct of {n} tokens": means["distinct"][i] for i, n in enumerate(WINDOWS)}
    return found | {f"overlap at lag {g}": means["overlap"][LAGS.index(g)] for g in SHOWN}


def _errors(seen: Statistics) -> dict[str, float]:
    """Standard errors of `figures`, mean over layers."""
    moments, influence = seen.moments()

    def error(at: int, scale: np.ndarray | float) -> float:
        return float(np.sqrt(np.sum((influence[:, at] * scale).mean(axis=1) ** 2)))

    first = 1 + len(LAGS)
    found = {f"distinct of {n} tokens": error(first + i, np.exp(moments[first + i])) for i, n in enumerate(WINDOWS)}
    return found | {f"overlap at lag {g}": error(1 + LAGS.index(g), 1.0) for g in SHOWN}


def batch_windows(
    text: Text, experts: int, requests: np.ndarray, seed: int, batches: tuple[int, ...] = BATCHES, draws: int = DRAWS
) -> Figures:
    """Mean distinct experts of B requests, drawn uniformly, with a window of n tokens anywhere in each.

    Requests shorter than the longest window are not drawn.
    """
    rng, most, deepest = np.random.default_rng(seed), max(batches), max(DEPTHS)
    long = requests[text.lengths[requests] >= deepest]
    chosen = np.stack([rng.permutation(long)[:most] for _ in range(draws)])
    first = text.start[chosen] + (rng.random(chosen.shape) * (text.lengths[chosen] - deepest + 1)).astype(int)
    found: Figures = {}
    union = np.zeros(1, np.uint64)
    for depth in range(1, deepest + 1):
        union = union | bitsets(text.experts[first + depth - 1], experts)
        if depth in DEPTHS:
            for batch in batches:
                together = np.bitwise_or.reduce(union[:, :batch], axis=1)
                found[_batch(batch, depth)] = np.bitwise_count(together).sum(axis=2).mean(axis=0)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split()[0])))


def independent(inclusion: np.ndarray) -> Figures:
    """The same for independent tokens with these inclusion probabilities [L, E]."""
    top_k = inclusion[0].sum()

    def distinct(n: int) -> np.ndarray:
        return np.asarray(np.sum(1 - (1 - inclusion) ** n, axis=1))

    found = {f"distinct of {n} tokens": distinct(n) for n in WINDOWS}
    found |= {f"overlap at lag {g}": np.sum(inclusion**2, axis=1) / top_k for g in SHOWN}
    return found | {_batch(b, n): distinct(b * n) for b in BATCHES for n in DEPTHS}


def _batch(requests: int, tokens: int) -> str:
    return f"{requests} request{'s' * (requests > 1)} x {tokens} token{'s' * (tokens > 1)}"
