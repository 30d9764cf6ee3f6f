"""A device: dense peaks by number format, memory bandwidth and capacity, in SI units."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from montecarlo.errors import InputError
from montecarlo.roofline import Floats, Work, seconds

# Bytes per stored element.
# MXFP4   4 bits and one 8-bit scale per 32 elements (OCP Microscaling Formats v1.0, section 5.2: E8M0 scale)
# NVFP4   4 bits and one fp8 scale per 16 elements (nvidia.github.io/cuda-rust/cutile, tutorial 11: 9 B per 16)
# int4    4 bits and one bf16 scale per 32 elements (Kimi-K2.5's quantisation-aware training: int4, groups of 32)
BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp4": 17 / 32, "nvfp4": 9 / 16, "int4": 9 / 16}

# The arithmetic each stored format is computed in, first one the device has. MXFP4 and NVFP4 weights without fp4
# units are widened to bf16 in the kernel, as gpt-oss runs on Hopper (weights 4 bit, activations bf16); int4
# weights always are.
COMPUTE = {
    "bf16": ("bf16",),
    "fp8": ("fp8", "bf16"),
    "mxfp4": ("fp4", "bf16"),
    "nvfp4": ("fp4", "bf16"),
    "int4": ("bf16",),
}


def known(name: str, stored: str) -> None:
    """Raise InputError where `stored`, given for `name`, is no number format."""
    if not isinstance(stored, str) or stored not in BYTES:
        raise InputError(f"{name} is {stored!r}, no number format; allowed: {', '.join(BYTES)}")


class Device(Protocol):
    """What prices a kernel by the formats of its weights and activations: hardware, or what is achieved on it."""

    def seconds(self, work: Work, stored: str, activations: str | None = None) -> Floats:
        """Seconds [s] of one kernel."""


@dataclass(frozen=True)
class Hardware:
    """One device. Peaks are dense (no sparsity) FLOP/s by format, 0 where the device has no such units.

    bandwidth [B/s], memory [B].
    """

    bf16: float
    fp8: float
    fp4: float
    bandwidth: float
    memory: float

    @classmethod
    def of(cls, *, bf16: float, fp8: float | None, fp4: float | None, bandwidth: float, memory: float) -> "Hardware":
        """Build a device; raises InputError for what cannot be one."""
        for name, value in (("bf16", bf16), ("bandwidth", bandwidth), ("memory", memory)):
            if isinstance(value, bool) or not (np.isfinite(value) and value > 0):
                raise InputError(f"hardware {name} is {value}; it must be positive, in FLOP/s, B/s or B")
        for name, value in (("fp8", fp8 or 0.0), ("fp4", fp4 or 0.0)):
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"hardware {name} is {value}; it must be positive, or absent where there is none")
        return cls(float(bf16), float(fp8 or 0.0), float(fp4 or 0.0), float(bandwidth), float(memory))

    def arithmetic(self, stored: str, activations: str | None = None) -> str:
        """The first arithmetic the device has for weights stored as `stored`: bf16, fp8 or fp4.

        `activations` wider than the weights raise the arithmetic to theirs: a product runs in the wider of the two.
        """
        if activations is not None and BYTES[activations] > BYTES[stored]:
            stored = activations
        return next(name for name in COMPUTE[stored] if getattr(self, name) > 0)

    def peak(self, stored: str, activations: str | None = None) -> float:
        """Peak FLOP/s for weights stored as `stored`, in the arithmetic the device has for them."""
        return float(getattr(self, self.arithmetic(stored, activations)))

    def seconds(self, work: Work, stored: str, activations: str | None = None) -> Floats:
        """Roofline seconds [s] of one kernel in the arithmetic for `stored` weights and `activations`."""
        return seconds(work, self.peak(stored, activations), self.bandwidth)
