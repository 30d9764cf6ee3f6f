"""The difficulty process fitted to the three real logs: what it says of all of them, and of requests it did not see.

Run as `python -m tests.bench.fit_logs DATA [PROFILES]`; with a folder PROFILES the fits are written there as TOML.

For each log: the estimates with both standard errors; the figures of traces/acceptance_stats.py, observed, of logs
synthesised on the same texts by the fit to all requests, and in ten folds: every request synthesised by the fit to
the nine folds it is not in. z = (folds - observed) / error, the error from cluster bootstraps of both. The folds' log
holds WORLDS times the requests: its error is Monte Carlo's, that of the observed figures decides.
"""

import sys
from pathlib import Path

import numpy as np

from montecarlo.keys import Stream, generator
from tests.logs import LOGS, spec_bench
from traces.acceptance_stats import figures
from traces.fit_acceptance import Fit, fit
from traces.held_out_acceptance import held_out, synthesised
from traces.profiles import difficulty
from traces.step_log import StepLog, joined

FOLDS, WORLDS = 10, 6
WORDS = {
    "eagle-1": ("EAGLE-1 on Vicuna-7B, Spec-Bench", "yukiki-jc/Spec-Bench (Apache-2.0)", "4/8/8/3/2"),
    "medusa": ("Medusa heads on Vicuna-7B, MT-Bench", "BNukhkadiev/Spec-Bench (Apache-2.0)", "10/28/23/2"),
    "hydra": ("Hydra heads on Vicuna-7B, query ranking", "BNukhkadiev/Spec-Bench (Apache-2.0)", "not stated"),
}


def report(name: str, log: StepLog, out: Path | None) -> None:
    """Print all of one log."""
    found = fit(log)
    errors = [np.sqrt(np.diag(c)) for c in (found.information, found.sandwich)]
    print(f"\n{name}: {log.requests} requests, {len(log.request)} steps, log likelihood {found.log_likelihood:.1f}")
    for i, parameter in enumerate(found.names):
        print(f"  {parameter:<14} {found.theta[i]:8.3f}  information {errors[0][i]:.3f}  sandwich {errors[1][i]:.3f}")
    observed = figures(log).flat()
    everything = figures(joined(synthesised(found.theta, log, log.typical_tokens, seed=3, worlds=WORLDS))).flat()
    fold = generator(2, 0, Stream.SPLIT).permutation(log.requests) % FOLDS
    for row, fitted in zip(held_out(log, found, fold), everything, strict=True):
        print(
            f"  {row.figure:<24} observed {row.held_out:.4f} +- {row.se:.4f}  all data {fitted:.4f}  "
            f"ten folds {row.predicted:.4f}  z {row.z:+.2f}"
        )
    if out is not None:
        difficulty.write(out / f"{name}-vicuna-7b.toml", _profile(name, found, observed))


def _profile(name: str, found: Fit, observed: np.ndarray) -> str:
    title, source, tree = WORDS[name]
    held = [name for name in found.undetermined if name != "length_slope"]
    said = f" Not determined, held at the end of its range: {', '.join(held)}." if held else ""
    survival = ", ".join(f"{value:.4f}" for value in observed[:-3])
    return difficulty.toml(
        found,
        id=f"{name}-vicuna-7b",
        title=title,
        source=f"""
Fitted by traces/fit_acceptance.py to the step log {LOGS[name][0]} of {source}:
{found.requests} requests, {found.steps} steps. The log's own survival by depth: {survival};
ICC by request {observed[-3]:.3f}, lag-1 autocorrelation {observed[-2]:.3f}, variance over 32 steps
{observed[-1]:.2f} times that of i.i.d. steps.""",
        limits=f"""
A tree (nodes by depth: {tree}), fitted at its own shape: a level counts as a depth, and no chain
may be read from it. One drafted length: offsets and short_sd trade off (see correlation), so other lengths carry
the error of both. Standard errors are clustered by request; those of time scales are of their logarithm.{said}""",
    )


def main(data: str, out: str | None = None) -> None:
    """All logs."""
    for name in reversed(LOGS):
        report(name, spec_bench(Path(data), name), None if out is None else Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
