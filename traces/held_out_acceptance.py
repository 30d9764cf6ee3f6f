"""A fitted difficulty process held against requests it did not see.

The figures are those of traces/acceptance_stats.py. Requests are dealt into folds; those of a fold are synthesised, on
their own texts, by the fit to the other folds, several times over.

    z = (predicted - held out) / error,    error^2 = that of the log's figures + that of the synthesised ones

both by resampling requests (cluster bootstrap).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montecarlo.keys import Stream, generator
from traces import acceptance_stats
from traces.acceptance_stats import figures
from traces.fit_acceptance import Fit, Likelihood, estimate, process_of
from traces.step_log import StepLog, joined
from traces.synthesise_steps import steps_like

Floats = NDArray[np.float64]

FOLDS = 5
ENOUGH, WORLDS = 1500, 6  # synthesised requests; copies of a log at most
REPLICATES = 100
AT_ONCE = 1 << 22  # tokens of text synthesised together


@dataclass(frozen=True)
class Row:
    """One figure of all requests, the mean of synthesised ones, their standard errors, and the difference over both."""

    figure: str
    held_out: float
    se: float
    predicted: float
    predicted_se: float
    z: float


def held_out(
    log: StepLog, whole: Fit, fold: NDArray[np.int64], progress: Callable[[int], None] = lambda fold: None
) -> list[Row]:
    """Rows over the folds [requests]; `whole`, the fit to all of them, is where the search for each begins.

    The filter's lean, which does not depend on how many requests there are, is that of the whole fit.
    """
    likelihood, depths, parts = Likelihood.of(log), log.draft_length, []
    low, high = np.array(likelihood.bounds).T
    lean = whole.lean if whole.lean.size else np.zeros_like(whole.theta)
    worlds = int(np.clip(-(-ENOUGH // log.requests), 1, WORLDS))
    for one in range(int(fold.max()) + 1):
        progress(one)
        highest = estimate(likelihood, begin=[whole.theta], weight=(fold != one).astype(float))
        theta = np.clip(highest - lean, low, high)
        some = log.of_requests(np.flatnonzero(fold == one))
        parts += synthesised(theta, some, log.typical_tokens, seed=10 + one, worlds=worlds)
    made = joined(parts)
    columns = (*(figures(one, depths).flat() for one in (log, made)), *(bootstrap(one, depths) for one in (log, made)))
    rows = zip(acceptance_stats.names(depths), *(column.tolist() for column in columns), strict=True)
    return [
        Row(name, real, error, said, noise, (said - real) / float(np.hypot(error, noise) or np.nan))
        for name, real, said, error, noise in rows
    ]


def synthesised(theta: Floats, log: StepLog, typical: float, *, seed: int, worlds: int) -> list[StepLog]:
    """`worlds` logs on the texts of `log` (in parts), each request drafted as far as its own longest draft."""
    longest = np.zeros(log.requests, np.int64)
    np.maximum.at(longest, log.request, log.drafted)
    at_once = max(1, AT_ONCE // int(log.tokens.max()))
    parts = []
    for length in np.unique(longest):
        those = np.flatnonzero(longest == length)
        parts += [(int(length), those[low : low + at_once]) for low in range(0, len(those), at_once)]
    return [
        steps_like(
            process_of(theta),
            log.of_requests(those),
            draft_length=length,
            length_slope=float(theta[-1]),
            typical_tokens=typical,
            seed=seed,
            world=world * len(parts) + part,
        )
        for world in range(worlds)
        for part, (length, those) in enumerate(parts)
        if length
    ]


def bootstrap(log: StepLog, depths: int) -> Floats:
    """Standard errors of the figures, by resampling requests."""
    random = generator(1, 0, Stream.BOOTSTRAP)
    drawn = [log.of_requests(random.integers(0, log.requests, log.requests)) for _ in range(REPLICATES)]
    return np.asarray(np.std([figures(one, depths).flat() for one in drawn], axis=0, ddof=1))
