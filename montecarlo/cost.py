"""Prices `ideal`: a verify step as the sum over kernels of each kernel's roofline seconds.

    step = sum over layers (projections + attention core + feed-forward) + LM head [+ drafting]

The routed experts are the only kernel that depends on chance, through the number of distinct experts, so a
step is (a part without chance) + sum over MoE layers of a price list indexed by the distinct experts.
No launches, no fixed time, no communication, perfect overlap inside a kernel, none between kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.drafter import Drafter
from montecarlo.ffn import Dense
from montecarlo.hardware import BYTES, Hardware
from montecarlo.memory import fits
from montecarlo.roofline import Floats, Kernel, Kernels, Scalar, Work, added
from montecarlo.target import AttentionKind, Target


@dataclass(frozen=True)
class Ideal:
    """Roofline prices of `target` on one `hardware` with `drafter`."""

    target: Target
    hardware: Hardware
    drafter: Drafter

    @property
    def bandwidth(self) -> float:
        """Memory bandwidth [B/s]."""
        return self.hardware.bandwidth

    @property
    def moe_layers(self) -> int:
        """Number of layers whose experts `experts` prices."""
        return self.target.moe_layers

    def kernels(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> list[Kernel]:
        """All kernels of a verify but the experts; shapes broadcast."""
        window = np.add(draft_length, 1.0)
        tokens = np.multiply(batch, window)
        found = self.layers(tokens, lambda kind: self.core(kind, batch, window, context))
        return found + self.fixed(batch, np.minimum(draft_length, 1.0), tokens)

    def ragged(self, queries: ArrayLike, context: ArrayLike) -> list[Kernel]:
        """The same for sequences with their own `queries` and `context` [..., sequences]: works [...]."""
        asked, seen = np.broadcast_arrays(np.asarray(queries, np.float64), np.asarray(context, np.float64))
        tokens, drafted = asked.sum(axis=-1), np.clip(asked.max(axis=-1) - 1.0, 0.0, 1.0)
        found = self.layers(tokens, lambda kind: self.core(kind, 1.0, asked, seen, added))
        return found + self.fixed(asked.shape[-1], drafted, tokens)

    def fixed(self, sequences: ArrayLike, drafted: ArrayLike, tokens: ArrayLike) -> list[Kernel]:
        """What a step of `sequences` and `tokens` costs beside its kernels; `drafted`: 1 with drafts, 0 without."""
        return []

    def peak(self, stored: str, activations: str | None = None) -> Scalar:
        """Peak [FLOP/s] for weights stored as `stored` and `activations`."""
        return self.hardware.peak(stored, activations)

    def core(
        self,
        kind: AttentionKind,
        sequences: ArrayLike,
        queries: ArrayLike,
        context: ArrayLike,
        joined: Callable[[Kernels], Kernels] = lambda kernels: kernels,
    ) -> Kernels:
        """The attention core of one layer for `sequences` x `queries` tokens at `context`; shapes broadcast.

        joined: what becomes of the works, as `roofline.added` makes one kernel of a ragged batch.
        """
        return joined(kind.kernels(sequences, queries, context, BYTES[self.target.kv_format]))

    def layers(
        self, tokens: ArrayLike, cores: Callable[[AttentionKind], Kernels], logits: ArrayLike | None = None
    ) -> list[Kernel]:
        """All kernels but the experts for `tokens`, given the attention `cores` of a kind of layer.

        logits: how many of the tokens go through the LM head (None: all, as in a verify).
        """
        target = self.target

        def linear(term: str, count: int, parameters: int, rows: ArrayLike = tokens) -> Kernel:
            work = Work(np.multiply(rows, 2.0 * parameters), parameters * BYTES[target.weight_format])
            return Kernel(term, count, work, self.peak(target.weight_format, target.activation_format))

        found = []
        for count, kind in target.attention:
            found.append(linear("projections", count, kind.parameters(target.hidden)))
            found += [Kernel("attention", count, work, self.peak(arithmetic)) for work, arithmetic in cores(kind)]
        for count, ffn in target.ffn:
            if isinstance(ffn, Dense):
                found.append(linear("dense", count, ffn.parameters(target.hidden)))
            else:
                found.append(linear("router", count, ffn.router(target.hidden)))
        found.append(linear("lm_head", 1, target.hidden * target.vocabulary, tokens if logits is None else logits))
        return found

    def experts(self, tokens: ArrayLike, distinct: ArrayLike) -> Kernel | None:
        """The experts of all MoE layers for `tokens` that touch `distinct` experts in each; None: dense."""
        target, moe = self.target, self.target.moe
        if moe is None:
            return None
        work = moe.work(target.hidden, tokens, distinct, BYTES[target.expert_format])
        peak = self.peak(target.expert_format, target.activation_format)
        return Kernel("experts", target.moe_layers, work, peak)

    def other_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> Floats:
        """Verify seconds of all kernels but the experts [s]; shapes broadcast."""
        kernels = self.kernels(batch, draft_length, context)
        return np.asarray(sum(kernel.seconds(self.bandwidth) for kernel in kernels), np.float64)

    def ragged_seconds(self, queries: ArrayLike, context: ArrayLike) -> Floats:
        """Verify seconds [...] of all kernels but the experts, for sequences with their own queries and contexts."""
        return np.asarray(sum(kernel.seconds(self.bandwidth) for kernel in self.ragged(queries, context)), np.float64)

    def moe_seconds(self, tokens: ArrayLike, distinct: ArrayLike) -> Floats:
        """Seconds of the experts of one MoE layer [s] for `tokens` that touch `distinct` experts."""
        kernel = self.experts(tokens, distinct)
        if kernel is None:
            return np.zeros(np.broadcast_shapes(np.shape(tokens), np.shape(distinct)))
        return kernel.each(self.bandwidth)

    def draft_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """Seconds of drafting [s], given the undrafted target `step` [s]."""
        return self.drafter.seconds(self.hardware, batch, draft_length, context, step)

    def ragged_draft_seconds(self, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """Seconds of drafting [...] for sequences with their own draft lengths and contexts [..., sequences]."""
        return self.drafter.ragged_seconds(self.hardware, drafted, context, step)

    def fits(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> np.ndarray | None:
        """Whether each cell fits in memory."""
        return fits(self.target, self.drafter, self.hardware, batch, context, draft_length)
