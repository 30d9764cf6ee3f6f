"""The roofline: a kernel takes the longer of its arithmetic and its memory traffic.

    seconds = max(flops / peak, bytes / bandwidth)

Works add inside one kernel; a step is the sum over kernels of each kernel's seconds, because kernels run
one after the other (Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scalar = float | np.float64 | Floats  # one number, or one per world


@dataclass(frozen=True)
class Work:
    """What a kernel does: `flops` [FLOP] and `bytes` [B] moved to and from memory; any common shape."""

    flops: ArrayLike
    bytes: ArrayLike

    def __add__(self, other: "Work") -> "Work":
        return Work(
            np.add(self.flops, other.flops, dtype=np.float64),
            np.add(self.bytes, other.bytes, dtype=np.float64),
        )


# The kernels of a layer: the work of each, and the number format whose arithmetic it runs in.
Kernels = tuple[tuple[Work, str], ...]


def added(kernels: Kernels) -> Kernels:
    """The same kernels, each doing at once what was listed along the last axis: works add, then the roofline."""
    return tuple((Work(np.sum(work.flops, axis=-1), np.sum(work.bytes, axis=-1)), peak) for work, peak in kernels)


# What the seconds of a step are for, in the order they are added; `fixed` (launches, the engine) is 0 in ideal prices.
TERMS = ("projections", "attention", "router", "dense", "experts", "lm_head", "fixed", "drafting")


@dataclass(frozen=True)
class Kernel:
    """`count` kernels alike: the term they belong to, the work of one, the peak it runs at [FLOP/s].

    share: achieved share of the bandwidth; unhidden: as in `seconds`; fixed: seconds of one beside its roofline [s].
    """

    term: str
    count: int
    work: Work
    peak: Scalar
    share: Scalar = 1.0
    unhidden: Scalar = 0.0
    fixed: Scalar = 0.0

    def each(self, bandwidth: float) -> Floats:
        """Seconds [s] of one of them at `bandwidth` [B/s]."""
        return seconds(self.work, self.peak, self.share * bandwidth, self.unhidden) + self.fixed

    def seconds(self, bandwidth: float) -> Floats:
        """Seconds [s] of all of them at `bandwidth` [B/s]."""
        return self.count * self.each(bandwidth)


def seconds(work: Work, peak: ArrayLike, bandwidth: ArrayLike, unhidden: Scalar = 0.0) -> Floats:
    """Seconds [s] of one kernel at `peak` [FLOP/s] and `bandwidth` [B/s]; shapes broadcast.

    unhidden q, between 0 and 1: how much of the shorter time is not hidden behind the longer one,

        longer (1 + (shorter / longer)^(1/q))^q

    from the roofline (q = 0) to one after the other (q = 1); most is lost at the ridge, 2^q.
    """
    compute, memory = np.divide(work.flops, peak), np.divide(work.bytes, bandwidth)
    longer = np.maximum(compute, memory)
    if not np.any(unhidden):
        return longer
    ratio = np.minimum(compute, memory) / np.where(longer > 0, longer, 1.0)
    lost = np.maximum(unhidden, 1e-3)  # 2^.001: nothing
    return np.where(np.greater(unhidden, 0), longer * (1 + ratio ** (1 / lost)) ** lost, longer)


def intensity(work: Work) -> Floats:
    """Arithmetic intensity [FLOP/B]; compute-bound above the ridge peak / bandwidth."""
    return np.divide(work.flops, work.bytes)
