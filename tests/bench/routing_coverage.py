"""Do the intervals of a routing fit hold the truth? `python -m tests.bench.routing_coverage [traces] [first]`.

Synthesised traces (400 unless told) of 200 requests x 128 tokens, 4 layers, 16 experts, top 2, are each fitted with
a simulation and slopes of its own. Per family of parameters: the share of 95 % intervals that hold the truth, with its
binomial error over traces (families hold several layers of one trace, so it is that of the mean over traces), the mean
z and its spread. A share of an expert that a trace never used is taken as missed, and left out of these two. Then a
Kolmogorov-Smirnov test of one z per trace, taken in turn from all parameters, against the normal.
"""

import sys
from dataclasses import replace

import numpy as np
from scipy.stats import kstest

from montecarlo import exact
from montecarlo.text import Text
from traces.fit import power_popularity
from traces.fit_routing import NAMES, Fit, Parameters, Simulation, fit
from traces.routing_statistics import Statistics, statistics
from traces.synthesise import synthesise

EXPERTS, TOP_K, REQUESTS, TOKENS = 16, 2, 200, 128
TRUTH = Parameters(
    weights=np.stack([power_popularity(skew, EXPERTS) for skew in (0.7, 1.0, 1.3, 1.6)]),
    layer=np.array(
        [
            [0.0, 0.06, 0.20, 0.05, 0.25],
            [0.0, 0.09, 0.15, 0.07, 0.35],
            [0.0, 0.07, 0.25, 0.09, 0.20],
            [0.0, 0.11, 0.15, 0.06, 0.30],
        ]
    ),
    section_tokens=10.0,
    top_k=TOP_K,
)


def trace(number: int) -> Statistics:
    """The statistics of synthesised trace `number`."""
    blocks = list(synthesise(TRUTH.routing, REQUESTS, TOKENS, 10_000 + number))
    experts = np.concatenate([block.reshape(-1, *block.shape[2:]) for block in blocks])
    return statistics(Text.of(experts=experts, start=np.arange(0, len(experts) + 1, TOKENS)), EXPERTS)


def reference() -> Fit:
    """A fit to a long trace: where the others start, and the slopes of their first round."""
    long = Simulation(2048, TOKENS, seed=9_999)
    return fit(long(TRUTH.routing), simulation=replace(long, seed=1))


def scores(number: int, start: Fit) -> dict[str, np.ndarray]:
    """z of every parameter of trace `number` by family."""
    measured = trace(number)
    found = fit(measured, simulation=Simulation(512, TOKENS, seed=20_000 + number), start=start, rounds=2)
    error, tokens_error = found.errors
    z = (found.parameters.layer - TRUTH.layer) / error
    families = {name: z[:, i] for i, name in enumerate(NAMES) if name != "tilt"}
    longer = np.log(found.parameters.section_tokens / TRUTH.section_tokens)
    shares = exact.inclusion(TRUTH.weights, TOP_K) / TOP_K
    families["section tokens"] = np.array([longer / tokens_error])
    known = np.where(measured.load > 0, measured.load_error, np.nan)
    families["shares"] = np.nan_to_num((measured.load - shares) / known, nan=-np.inf).reshape(-1)
    return families


def report(found: list[dict[str, np.ndarray]]) -> None:
    """Print coverage by family of the z of each trace."""
    traces = len(found)
    for name in found[0]:
        z = np.stack([one[name] for one in found])
        held = np.mean(np.abs(z) <= 1.96, axis=1)
        known = z[np.isfinite(z)]
        print(
            f"{name:<15} {100 * held.mean():.1f} % (SE {100 * held.std(ddof=1) / np.sqrt(traces):.1f} over traces) of "
            f"{z.size} intervals hold the truth; z {known.mean():+.2f}, spread {known.std():.2f}"
        )
    everything = np.stack([np.concatenate(list(one.values())) for one in found])
    turn = everything[np.arange(traces), np.arange(traces) % everything.shape[1]]
    print(f"one z per trace against the normal: Kolmogorov-Smirnov p = {kstest(turn, 'norm').pvalue:.3f}")


def main() -> None:
    """Fit the traces and report."""
    traces, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 400), (2, 0)))
    start, found = reference(), []
    for number in range(first, first + traces):
        found.append(scores(number, start))
        if number % 20 == 19:
            print(f"{number + 1} traces", file=sys.stderr, flush=True)
    report(found)


if __name__ == "__main__":
    main()
