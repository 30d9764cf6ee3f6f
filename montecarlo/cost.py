"""Prices `ideal`: a verify step as the sum over kernels of each kernel's roofline seconds.

    step = sum over layers (projections + attention core + feed-forward) + LM head [+ drafting]

The routed experts are the only kernel that depends on chance, through the number of distinct experts, so a
step is (a part without chance) + sum over MoE layers of a price list indexed by the distinct experts.
No launches, no fixed time, no communication, perfect overlap inside a kernel, none between kernels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.drafter import Eagle3, Flat
from montecarlo.ffn import Dense
from montecarlo.hardware import BYTES, Hardware
from montecarlo.memory import fits
from montecarlo.roofline import Floats, Work
from montecarlo.target import Target


@dataclass(frozen=True)
class Ideal:
    """Roofline prices of `target` on one `hardware` with `drafter`."""

    target: Target
    hardware: Hardware
    drafter: Eagle3 | Flat

    def other_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> Floats:
        """Verify seconds of all kernels but the experts [s]; shapes broadcast."""
        target, hardware = self.target, self.hardware
        window = np.add(draft_length, 1.0)
        tokens = np.multiply(batch, window)

        def linear(parameters: int) -> Floats:
            read = parameters * BYTES[target.weight_format]
            work = Work(tokens * (2.0 * parameters), read)
            return hardware.seconds(work, target.weight_format, target.activation_format)

        total = linear(target.hidden * target.vocabulary)
        for count, kind in target.attention:
            kernels = kind.kernels(batch, window, context, BYTES[target.kv_format])
            core = sum(hardware.seconds(work, arithmetic) for work, arithmetic in kernels)
            total = total + count * (linear(kind.parameters(target.hidden)) + core)
        for count, ffn in target.ffn:
            always = ffn.parameters(target.hidden) if isinstance(ffn, Dense) else ffn.router(target.hidden)
            total = total + count * linear(always)
        return np.asarray(total, np.float64)

    def moe_seconds(self, tokens: ArrayLike, distinct: ArrayLike) -> Floats:
        """Seconds of the experts of one MoE layer [s] for `tokens` that touch `distinct` experts."""
        moe = self.target.moe
        if moe is None:
            return np.zeros(np.broadcast_shapes(np.shape(tokens), np.shape(distinct)))
        stored = self.target.expert_format
        work = moe.work(self.target.hidden, tokens, distinct, BYTES[stored])
        return self.hardware.seconds(work, stored, self.target.activation_format)

    def draft_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """Seconds of drafting [s], given the undrafted target `step` [s]."""
        return self.drafter.seconds(self.hardware, batch, draft_length, context, step)

    def fits(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> np.ndarray | None:
        """Whether each cell fits in memory."""
        return fits(self.target, self.drafter, self.hardware, batch, context, draft_length)
