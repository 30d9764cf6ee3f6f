"""The roofline: a kernel takes the longer of its arithmetic and its memory traffic.

    seconds = max(flops / peak, bytes / bandwidth)

Works add inside one kernel; a step is the sum over kernels of each kernel's seconds, because kernels run
one after the other (Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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


# What the seconds of a step are for, in the order they are added.
TERMS = ("projections", "attention", "router", "dense", "experts", "lm_head", "drafting")


@dataclass(frozen=True)
class Kernel:
    """`count` kernels alike: the term they belong to, the work of one, the peak it runs at [FLOP/s]."""

    term: str
    count: int
    work: Work
    peak: float

    def seconds(self, bandwidth: float) -> Floats:
        """Roofline seconds [s] of all of them at `bandwidth` [B/s]."""
        return self.count * seconds(self.work, self.peak, bandwidth)


def seconds(work: Work, peak: ArrayLike, bandwidth: ArrayLike) -> Floats:
    """Roofline seconds [s] of one kernel at `peak` [FLOP/s] and `bandwidth` [B/s]; shapes broadcast."""
    return np.maximum(np.divide(work.flops, peak), np.divide(work.bytes, bandwidth))


def intensity(work: Work) -> Floats:
    """Arithmetic intensity [FLOP/B]; compute-bound above the ridge peak / bandwidth."""
    return np.divide(work.flops, work.bytes)
