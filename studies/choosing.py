"""What a team that believes one model chooses, and what that is worth under another: on different worlds.

Lengths are chosen on one half of the worlds (even or odd) and valued on the other, both ways averaged:

    believed = log of speedup of the length a model chooses, under that model
    regret   = 1 - rate(its length) / rate(the full model's length), both under the full model

The full model regrets nothing, exactly; elsewhere regret is 0 or more but for the noise of choosing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montecarlo.keys import Stream, generator
from montecarlo.roofline import Floats

Integers = NDArray[np.int64]
RESAMPLES = 200


@dataclass(frozen=True)
class Choosing:
    """Seconds per token at one batch and context: undrafted [models, worlds], drafted [models, worlds, lengths].

    full: which of the models is the full one. first: where the lengths above 0 begin.
    """

    undrafted: Floats
    drafted: Floats
    full: int
    first: int

    @property
    def worlds(self) -> int:
        """How many there are."""
        return self.undrafted.shape[1]

    def best(self, worlds: Integers) -> Integers:
        """Index of each model's best length [models] on these worlds; ties go to the shorter."""
        return np.argmin(self.drafted[:, worlds].mean(axis=1), axis=1)

    def fixed(self, worlds: Integers) -> Floats:
        """Log of speedup [models] at the full model's best length above 0."""
        spent = self.drafted[:, worlds].mean(axis=1)
        k = self.first + int(np.argmin(spent[self.full, self.first :]))
        return np.log(self.undrafted[:, worlds].mean(axis=1) / spent[:, k])

    def believed(self, worlds: Integers) -> Floats:
        """Log of speedup [models], each at the length it chooses."""
        found = []
        for choosing, valuing in _sides(worlds):
            k = self.best(choosing)[:, None, None]
            spent = np.take_along_axis(self.drafted[:, valuing], np.broadcast_to(k, (len(k), len(valuing), 1)), 2)
            found.append(np.log(self.undrafted[:, valuing].mean(axis=1) / spent[..., 0].mean(axis=1)))
        return np.asarray(np.mean(found, axis=0))

    def regret(self, worlds: Integers) -> Floats:
        """Share of the full model's rate that each model's length loses [models]."""
        found = []
        for choosing, valuing in _sides(worlds):
            spent, k = self.drafted[self.full, valuing].mean(axis=0), self.best(choosing)
            found.append(1 - spent[k[self.full]] / spent[k])
        return np.asarray(np.mean(found, axis=0))

    def resampled(self, seed: int) -> list[Integers]:
        """Worlds of each bootstrap resample."""
        return [
            generator(seed, resample, Stream.BOOTSTRAP).integers(self.worlds, size=self.worlds)
            for resample in range(RESAMPLES)
        ]


def _sides(worlds: Integers) -> list[tuple[Integers, Integers]]:
    """(those that choose, those that value), both ways; worlds of one side alone are their own other half."""
    even, odd = worlds[worlds % 2 == 0], worlds[worlds % 2 == 1]
    return [(even, odd), (odd, even)] if len(even) and len(odd) else [(worlds, worlds)]
