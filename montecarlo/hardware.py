"""A device: dense peaks by number format, memory bandwidth and capacity, in SI units."""

from dataclasses import dataclass

import numpy as np

from montecarlo.errors import InputError

# Bytes per stored element. MXFP4: 4 bits and one 8-bit scale per 32 elements
# (OCP Microscaling Formats v1.0, section 5.2: block size 32, E8M0 scale).
BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp4": 17 / 32}

# The arithmetic each stored format is computed in, first one the device has. MXFP4 weights without fp4
# units are widened to bf16 in the kernel, as gpt-oss runs on Hopper (weights 4 bit, activations bf16).
COMPUTE = {"bf16": ("bf16",), "fp8": ("fp8", "bf16"), "mxfp4": ("fp4", "bf16")}


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

    def peak(self, stored: str) -> float:
        """Peak FLOP/s for weights stored as `stored`, in the first arithmetic the device has for them."""
        peaks = {"bf16": self.bf16, "fp8": self.fp8, "fp4": self.fp4}
        return next(peaks[name] for name in COMPUTE[stored] if peaks[name] > 0)
