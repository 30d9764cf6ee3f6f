"""What a fit of acceptance is held against: four figures of a log, of the steps that no text end cut.

survival S(d)        share of the steps that drafted at least d and accepted at least d
ICC, lag-1, variance over 32 steps: of accepted drafts, by request, within turns, by request (traces/spread.py)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.spread import SPAN, icc, lag_one, variance_32
from traces.step_log import StepLog

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """survival [depths]; the others are numbers, nan where the log is too short for them or nothing varies."""

    survival: Floats
    icc: float
    lag_one: float
    variance_32: float

    def flat(self) -> Floats:
        """All of them [depths + 3], in the order of `names`."""
        return np.concatenate([self.survival, [self.icc, self.lag_one, self.variance_32]])


def names(depths: int) -> list[str]:
    """What the figures of a log of `depths` are called."""
    survival = [f"survival at depth {depth}" for depth in range(1, depths + 1)]
    return [*survival, "ICC by request", "lag-1 autocorrelation", f"variance over {SPAN} steps"]


def figures(log: StepLog, depths: int = 0) -> Figures:
    """The four of one log; survival at depth 1 .. depths (default: its longest draft)."""
    whole = ~log.cut
    request, accepted = log.request[whole], log.accepted[whole].astype(np.float64)
    depth = np.arange(1, (depths or log.draft_length) + 1)
    asked = log.drafted[whole][:, None] >= depth
    survival = np.sum(asked & (accepted[:, None] >= depth), axis=0) / np.maximum(asked.sum(axis=0), 1)
    turn = np.cumsum((np.diff(log.request, prepend=0) != 0) | (np.diff(log.turn, prepend=0) != 0))[whole]
    return Figures(survival, icc(request, accepted), lag_one(turn, accepted), variance_32(request, accepted))
