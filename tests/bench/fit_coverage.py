"""Known truth: 400 synthesised logs, each fitted; do 95 % intervals hold the truth in 95 % of them?

Run as `python -m tests.bench.fit_coverage [logs] [processes]`. Every log has its own requests, lengths and texts.
Prints, for each family of parameters, how often the interval held the truth, by both standard errors, and the mean
and standard deviation of z = (estimate - truth) / error. Then the z-scores of a log, made independent by the Cholesky
factor of its covariance, all scores of all logs together. They should be standard normal:

    intervals    2 P(Z > |z|) is uniform: central intervals hold the truth at every level as often as they say
                 (Kolmogorov and Smirnov)
    signs too    the scores themselves are (Kolmogorov and Smirnov): also sees a lean much smaller than the errors
    mean, sd     the same by the normal law of their mean and the chi-squared law of their sum of squares
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from scipy.stats import chi2, kstest, norm

from montecarlo.keys import Stream, generator
from traces import fit_acceptance
from traces.fit_acceptance import process_of
from traces.step_log import StepLog
from traces.synthesise_steps import steps_like

OFFSETS = (2.4, 1.8, 1.4, 1.1)
TRUTH = np.array([*OFFSETS, 0.6, 1.1, 0.7, np.log(3.0), np.log(60.0), 0.3])
REQUESTS, MEDIAN_TOKENS, LOG_SD, LONGEST = 300, 240.0, 0.6, 760
SIMULATED = 1000  # first seed of the fits' own simulations: one for each log, lest all share their noise
FAMILIES = {"offsets": slice(0, 4), "sds": slice(4, 7), "time scales": slice(7, 9), "length slope": slice(9, 10)}


def log_of(world: int) -> StepLog:
    """A synthesised log of random lengths."""
    random = generator(7, world, Stream.TEXT)
    tokens = np.minimum(np.exp(np.log(MEDIAN_TOKENS) + LOG_SD * random.standard_normal(REQUESTS)), LONGEST)
    whole = np.maximum(tokens.astype(np.int64), 2) - 1
    texts = StepLog.of(request=np.arange(REQUESTS), drafted=whole, accepted=whole)  # one step, all accepted
    return steps_like(
        process_of(TRUTH),
        texts,
        draft_length=len(OFFSETS),
        length_slope=float(TRUTH[-1]),
        typical_tokens=texts.typical_tokens,
        seed=7,
        world=world,
    )


def one(world: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(theta - truth, information, sandwich) of one log."""
    found = fit_acceptance.fit(log_of(world), starts=fit_acceptance.STARTS[:1], seed=SIMULATED + world)
    return found.theta - TRUTH, found.information, found.sandwich


def report(results: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Print the table."""
    off = np.stack([off for off, _, _ in results])
    print(f"{len(results)} logs of {REQUESTS} requests; truth {np.round(TRUTH, 3)}")
    print(f"not determined: {np.mean([np.isnan(j).any() for _, j, _ in results]):.3f} of the logs")
    for name, which in (("information", 1), ("sandwich", 2)):
        covariance = np.stack([result[which] for result in results])
        z = off / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        for family, at in FAMILIES.items():
            held = np.mean(np.abs(z[:, at]) <= norm.isf(0.025))
            print(f"{name:<12} {family:<13} coverage {held:.4f}  z mean {np.nanmean(z[:, at]):+.3f}", end="  ")
            print(f"sd {np.nanstd(z[:, at]):.3f}  by parameter {np.round(np.nanmean(z[:, at], axis=0), 2)}")
        whole = ~np.isnan(covariance).any(axis=(1, 2))
        white = np.stack(
            [np.linalg.solve(np.linalg.cholesky(c), d) for c, d in zip(covariance[whole], off[whole], strict=True)]
        )
        scores = white.ravel()
        tail = chi2.cdf(np.sum(scores**2), scores.size)
        tests = {
            "intervals": kstest(2 * norm.sf(np.abs(scores)), "uniform").pvalue,
            "signs too": kstest(scores, "norm").pvalue,
            "mean": 2 * norm.sf(abs(scores.sum()) / np.sqrt(scores.size)),
            "sd": 2 * min(tail, 1 - tail),
        }
        print(
            f"{name:<12} calibration of {scores.size} scores (mean {scores.mean():+.3f}, sd {scores.std():.3f})",
            end=": ",
        )
        print(", ".join(f"{test} p = {p:.2g}" for test, p in tests.items()))


def main(logs: int = 400, processes: int = 2) -> None:
    """Fit all."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        report(list(pool.map(one, range(logs))))


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:]))
