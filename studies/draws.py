"""Independent draws of the unknowns of one scenario, and the lengths that are chosen knowing the priors alone."""

from dataclasses import dataclass

import numpy as np

from montecarlo.estimate import RECOMMENDED_WITHIN, Floats
from studies.response import Halves, Response
from studies.scenario import Built
from studies.unknowns import Unknowns

PER_ROW = 4  # draws for every base row of the variance shares
DRAWS, SCREENED = 1 << 24, 1 << 25  # where the inner worlds of draws, and of the screening, are numbered from


@dataclass(frozen=True)
class Draws:
    """points [draws, columns]; halves and speedup [draws, batches, lengths] at them (speedup: over all worlds).

    best, recommended, shown [batches]: indices into the lengths. Best: the highest mean log throughput; recommended:
    the shortest within 1 % of it; shown: the recommended, or where that is 0 the best above 0.
    """

    response: Response
    seed: int
    points: Floats
    halves: Halves
    speedup: Floats
    best: np.ndarray
    recommended: np.ndarray
    shown: np.ndarray

    @classmethod
    def of(cls, response: Response, seed: int, rows: int) -> "Draws":
        """PER_ROW draws for each of `rows`."""
        points = response.unknowns.drawn(seed, range(PER_ROW * rows))
        halves = response.at(points, DRAWS + np.arange(len(points)), seed)
        mean = np.where(response.allowed, halves.log_rate.mean(axis=(0, 1)), -np.inf)
        worse = mean.max(axis=-1, keepdims=True) - mean
        recommended = np.argmax(worse <= -np.log1p(-RECOMMENDED_WITHIN), axis=-1)
        lengths = np.asarray(response.unknowns.built.lengths)
        above = np.argmax(np.where(lengths > 0, mean, -np.inf), axis=-1)
        pays = response.allowed[np.arange(len(above)), above]  # a draft fits at all
        shown = np.where((lengths[recommended] == 0) & pays, above, recommended)
        speedup = response.speedup(points)
        return cls(response, seed, points, halves, speedup, np.argmax(mean, axis=-1), recommended, shown)

    @property
    def unknowns(self) -> Unknowns:
        """What is drawn."""
        return self.response.unknowns

    @property
    def built(self) -> Built:
        """The scenario."""
        return self.unknowns.built

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.built.labels["scenario"])

    @property
    def lengths(self) -> np.ndarray:
        """The draft lengths."""
        return np.asarray(self.built.lengths)

    def at_shown(self, values: Floats) -> Floats:
        """`values` [..., batches, lengths] at the shown lengths [..., batches]."""
        return np.asarray(values[..., np.arange(len(self.shown)), self.shown])
