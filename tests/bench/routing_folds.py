"""Routing on held-out requests: `python -m tests.bench.routing_folds` (about ten minutes on one core).

10-fold over the 425 non-repetitive requests of the gpt-oss-20b trace, stratified by data set. Each fold is predicted
by a fit to the other nine, by uniform routing and by popularity alone (the others' shares, tokens independent).
Relative errors for distinct experts, differences for overlap. An error is the mean over folds of predicted minus
held out; its standard error is over folds; `worst fold` is the largest of the ten means over layers.
"""

import os
from pathlib import Path

import numpy as np

from montecarlo import exact
from montecarlo.text import Text
from traces.fit_routing import Simulation, fit
from traces.routing_statistics import LAGS, WINDOWS, bitsets, statistics
from traces.synthesise import synthesise

EXPERTS, TOP_K, FOLDS = 32, 4, 10
SHOWN = (1, 2, 8, 32)
BATCHES, DEPTHS = (1, 4, 16), (1, 2, 4, 8)
DATA = Path(os.environ.get("DRAFTODDS_DATA", Path(__file__).parents[3] / "shared" / "data"))
Figures = dict[str, np.ndarray]  # name -> value by layer


def main() -> None:
    """Print the table."""
    with np.load(DATA / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing.npz") as archive:
        kept, length = ~archive["has_repetition"], np.diff(archive["seq_start"])
        rows = archive["expert_ids"][np.repeat(kept, length)]
        text = Text.of(experts=rows, start=np.concatenate([[0], np.cumsum(length[kept])]))
        fold = folds(archive["dataset"][kept])
    errors: dict[str, list[Figures]] = {"fitted": [], "popularity": [], "uniform": []}
    first = None
    for held in range(FOLDS):
        train, out = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        given = statistics(text, EXPERTS, train)
        found = fit(given, simulation=Simulation(768, seed=held), start=first, rounds=1 if first else 2)
        first = first or found
        process = found.parameters.routing
        blocks = list(synthesise(process, 1024, 96, 1000 + held))
        made = np.concatenate([block.reshape(-1, *block.shape[2:]) for block in blocks])
        model = Text.of(experts=made, start=np.arange(0, len(made) + 1, 96))
        truth = figures(text, out, held)
        predicted = {
            "fitted": figures(model, np.arange(1024), held),
            "popularity": independent(exact.inclusion(found.parameters.weights, TOP_K)),
            "uniform": independent(np.full((text.experts.shape[1], EXPERTS), TOP_K / EXPERTS)),
        }
        for name, law in predicted.items():
            errors[name].append(
                {
                    what: law[what] - value if what.startswith("overlap") else law[what] / value - 1
                    for what, value in truth.items()
                }
            )
            if name == "fitted":  # a mean over layers is compared as such: not the mean of ratios
                for what, value in truth.items():
                    if not what.startswith("overlap"):
                        errors[name][-1][what + " mean"] = law[what].mean(keepdims=True) / value.mean() - 1
        print(f"fold {held}: section_tokens {found.parameters.section_tokens:.1f}", flush=True)
    columns = ("mean over layers", "(SE)", "worst fold", "worst layer", "popularity", "uniform")
    print(
        f"{'':<22} " + " ".join(f"{name:>{width}}" for name, width in zip(columns, (17, 8, 11, 12, 11, 8), strict=True))
    )
    for what in [name for name in errors["fitted"][0] if not name.endswith(" mean")]:
        by_fold = {name: np.stack([one[what] for one in of]) for name, of in errors.items()}
        mean = by_fold["fitted"].mean(axis=1)
        if not what.startswith("overlap"):
            mean = np.concatenate([one[what + " mean"] for one in errors["fitted"]])
        layers = by_fold["fitted"].mean(axis=0)
        others = [float(by_fold[name].mean()) for name in ("popularity", "uniform")]
        print(
            f"{what:<22} {mean.mean():>+17.4f} {mean.std(ddof=1) / np.sqrt(FOLDS):>8.4f} "
            f"{mean[np.argmax(np.abs(mean))]:>+11.4f} {layers[np.argmax(np.abs(layers))]:>+12.4f} "
            f"{others[0]:>+11.3f} {others[1]:>+8.3f}"
        )


def folds(stratum: np.ndarray) -> np.ndarray:
    """The fold of each request: requests of a stratum, shuffled, are dealt out in turn, the next one going on."""
    order = np.lexsort((np.random.default_rng(0).permutation(len(stratum)), stratum))
    fold = np.empty(len(stratum), int)
    fold[order] = np.arange(len(stratum)) % FOLDS
    return fold


def figures(text: Text, requests: np.ndarray, seed: int) -> Figures:
    """What is predicted, of some requests of a text."""
    means = statistics(text, EXPERTS, requests).of(np.arange(len(requests)))
    found = {f"distinct of {n}": means["distinct"][i] for i, n in enumerate(WINDOWS)}
    found |= {f"overlap at lag {g}": means["overlap"][LAGS.index(g)] for g in SHOWN}
    return found | batch_windows(text, requests, seed)


def batch_windows(
    text: Text, requests: np.ndarray, seed: int, draws: int = 1500, batches: tuple[int, ...] = BATCHES
) -> Figures:
    """Mean distinct experts of B requests, drawn uniformly, with a window of n tokens anywhere in each."""
    rng, most, deepest = np.random.default_rng(seed), max(batches), max(DEPTHS)
    tokens = bitsets(text.experts[None], EXPERTS)[0, ..., 0]
    chosen = np.stack([rng.permutation(requests)[:most] for _ in range(draws)])
    first = text.start[chosen] + (rng.random(chosen.shape) * (text.lengths[chosen] - deepest + 1)).astype(int)
    found: Figures = {}
    union = np.zeros((draws, most, tokens.shape[1]), np.uint64)
    for depth in range(1, deepest + 1):
        union |= tokens[first + depth - 1]
        if depth in DEPTHS:
            for batch in batches:
                together = np.bitwise_or.reduce(union[:, :batch], axis=1)
                found[f"batch {batch} window {depth}"] = np.bitwise_count(together).mean(axis=0)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split()[1])))


def independent(inclusion: np.ndarray) -> Figures:
    """The same for independent tokens with these inclusion probabilities [L, E]."""

    def distinct(n: int) -> np.ndarray:
        return np.asarray(np.sum(1 - (1 - inclusion) ** n, axis=1))

    found = {f"distinct of {n}": distinct(n) for n in WINDOWS}
    found |= {f"overlap at lag {g}": np.sum(inclusion**2, axis=1) / TOP_K for g in SHOWN}
    return found | {f"batch {b} window {n}": distinct(b * n) for b in BATCHES for n in DEPTHS}


if __name__ == "__main__":
    main()
