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
from traces.fit_routing import ROUNDS, Simulation, fit
from traces.held_out_routing import Figures, batch_windows, figures, folds, independent
from traces.routing_statistics import statistics

EXPERTS, TOP_K, FOLDS = 32, 4, 10
DATA = Path(os.environ.get("DRAFTODDS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def main() -> None:
    """Print the table."""
    with np.load(DATA / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing.npz") as archive:
        kept, length = ~archive["has_repetition"], np.diff(archive["seq_start"])
        rows = archive["expert_ids"][np.repeat(kept, length)]
        text = Text.of(experts=rows, start=np.concatenate([[0], np.cumsum(length[kept])]))
        fold = folds(archive["dataset"][kept], FOLDS)
    errors: dict[str, list[Figures]] = {"fitted": [], "popularity": [], "uniform": []}
    first = None
    for held in range(FOLDS):
        train, out = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        given = statistics(text, EXPERTS, train)
        found = fit(given, simulation=Simulation(768, seed=held), start=first, rounds=1 if first else ROUNDS)
        first = first or found
        process = found.parameters.routing
        model = Simulation(1024, seed=1000 + held).text(process)
        truth = figures(statistics(text, EXPERTS, out)) | batch_windows(text, EXPERTS, out, held)
        predicted = {
            "fitted": figures(statistics(model, EXPERTS)) | batch_windows(model, EXPERTS, np.arange(1024), held),
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


if __name__ == "__main__":
    main()
