"""Prices `achieved`: the ideal ones with the terms that rooflines leave out (montecarlo/terms.py).

    kernel   = max(FLOP / (share of peak), bytes / (share of bandwidth)) + states / (share of bandwidth)
    step     = sum over kernels + fixed(batch, drafted, layers)
    drafting = sum over passes (kernels + pass_seconds)

Everything not named here is as in `montecarlo/cost.py`. With neutral terms the two are equal. Terms may carry an axis
of worlds in front of the shapes asked for (Terms.stack): one call then prices every world.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.cost import Ideal
from montecarlo.hardware import BYTES
from montecarlo.linear import GatedDeltaNet
from montecarlo.roofline import Floats, Kernel, Kernels, Scalar, Work, seconds
from montecarlo.target import AttentionKind
from montecarlo.terms import Terms, captured

ACTIVATION_BYTES = 2.0  # hidden states pass between kernels in bf16 [B per element]


@dataclass(frozen=True)
class Achieved(Ideal):
    """Prices of `target` on one `hardware` with `drafter` in an engine of these `terms`."""

    terms: Terms = field(default_factory=Terms)

    def peak(self, stored: str, activations: str | None = None) -> Scalar:
        """Achieved FLOP/s: the peak times the share of its arithmetic, or that of 4-bit weights widened to bf16."""
        arithmetic = self.hardware.arithmetic(stored, activations)
        widened = BYTES[stored] < 1 and arithmetic == "bf16"
        share: Scalar = getattr(self.terms, "peak_widened" if widened else f"peak_{arithmetic}")
        return share * self.hardware.peak(stored, activations)

    def seconds(self, work: Work, stored: str, activations: str | None = None) -> Floats:
        """Seconds [s] of one kernel of the drafter, at what is achieved of peak and bandwidth."""
        return seconds(work, self.peak(stored, activations), self.terms.bandwidth * self.bandwidth)

    def core(
        self,
        kind: AttentionKind,
        sequences: ArrayLike,
        queries: ArrayLike,
        context: ArrayLike,
        joined: Callable[[Kernels], Kernels] = lambda kernels: kernels,
    ) -> Kernels:
        """The attention core, with KV read between once per step and once per query token.

            bytes = (1 - kv_reads) bytes of windows + kv_reads bytes of as many sequences of one token

        Recurrent layers have no KV to read again.
        """
        windows = super().core(kind, sequences, queries, context, joined)
        if isinstance(kind, GatedDeltaNet) or not np.any(self.terms.kv_reads):
            return windows
        tokens = super().core(kind, np.multiply(sequences, queries), 1.0, context, joined)
        found = []
        for (window, arithmetic), (token, _) in zip(windows, tokens, strict=True):
            again = self.terms.kv_reads * np.subtract(token.bytes, window.bytes)
            found.append((Work(window.flops, np.add(window.bytes, again)), arithmetic))
        return tuple(found)

    def padded(self, tokens: ArrayLike) -> ArrayLike:
        """Tokens of the CUDA graph that runs `tokens`: the next captured size; beyond the largest they are their own.

        (vllm/v1/cudagraph_dispatcher.py.) Sizes rounded to multiples of a window, as newer versions do, are left out.
        """
        if self.terms.largest_captured is None:
            return tokens
        given, sizes = np.asarray(tokens, np.float64), np.array([*captured(self.terms.largest_captured), 0.0])
        # Half a token of slack: an elasticity asks for 1 + 1e-6 tokens, which is no second token.
        return np.maximum(given, sizes[np.searchsorted(sizes[:-1], given - 0.5)])

    def layers(
        self, tokens: ArrayLike, cores: Callable[[AttentionKind], Kernels], logits: ArrayLike | None = None
    ) -> list[Kernel]:
        """All kernels but the experts; matrices run over padded tokens, attention and LM head over the true ones."""
        padded, rows = self.padded(tokens), tokens if logits is None else logits
        found = []
        for kernel in super().layers(padded, cores, rows):
            kernel = replace(kernel, share=self.terms.bandwidth)
            if kernel.term != "attention":
                states = rows if kernel.term == "lm_head" else padded
                kernel = self._with_states(kernel, states, self.terms.activations)
            found.append(kernel)
        return found

    def experts(self, tokens: ArrayLike, distinct: ArrayLike) -> Kernel | None:
        """The experts of all MoE layers; padding computes, and is taken to touch no further expert.

            bytes = (distinct + straggler (rows - distinct)) x bytes of an expert,    rows = tokens x top_k

        A grouped product walks over tiles of rows; an expert with more rows than a tile has its weights read again.
        How uneven rows are is not known to a price, so the straggler is a mean over them.
        """
        padded, terms = self.padded(tokens), self.terms
        kernel = super().experts(padded, distinct)
        if kernel is None or self.target.moe is None:
            return None
        moe = self.target.moe
        again = np.maximum(np.subtract(np.multiply(moe.top_k, padded), distinct), 0.0)
        expert = moe.expert(self.target.hidden) * BYTES[self.target.expert_format]
        launched = replace(
            kernel,
            work=Work(kernel.work.flops, np.add(kernel.work.bytes, terms.straggler * again * expert)),
            share=terms.expert_bandwidth,
            unhidden=terms.unhidden,
            fixed=terms.moe_layer_seconds,
        )
        copies = np.multiply(moe.top_k + (moe.shared_intermediate > 0), padded)
        return self._with_states(launched, copies, terms.expert_activations)

    def _with_states(self, kernel: Kernel, rows: ArrayLike, times: Scalar) -> Kernel:
        """With the seconds in which the states of `rows` tokens go in and out of matrix products of P parameters.

            times x rows (2 H + w) x 2 B / (share of bandwidth),    w = P / H = FLOP / (2 H rows)

        H goes in and comes out, the w = sum of the widths on the other side of H x w matrices between. Kernels of
        their own (norms, gathers, activation functions) move them, so they are not hidden behind the weights.
        """
        if not np.any(times):
            return kernel
        hidden = self.target.hidden
        elements = np.divide(kernel.work.flops, 2.0 * hidden) + np.multiply(2.0 * hidden, rows)
        crossing = times * ACTIVATION_BYTES * elements / (kernel.share * self.bandwidth)
        return replace(kernel, fixed=kernel.fixed + crossing)

    def fixed(self, sequences: ArrayLike, drafted: ArrayLike, tokens: ArrayLike) -> list[Kernel]:
        """Seconds of a step that no kernel's roofline sees, launches of the MoE layers aside.

            step + sequences x sequence + drafted x drafted_step + layers x layer  [+ layers x eager_layer]

        `drafted` is 1 for a step with drafts, 0 without. Eager: more tokens than the largest CUDA graph.
        """
        terms, layers = self.terms, self.target.layers
        spent = terms.step_seconds + np.multiply(sequences, terms.sequence_seconds)
        spent = spent + np.multiply(drafted, terms.drafted_step_seconds) + layers * terms.layer_seconds
        if terms.largest_captured is not None:
            eager = np.greater(tokens, terms.largest_captured + 0.5)  # the slack of `padded`
            spent = spent + eager * (layers * terms.eager_layer_seconds)
        return [Kernel("fixed", 1, Work(0.0, 0.0), 1.0, fixed=spent)]

    def draft_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """Seconds of drafting [s], given the undrafted target `step` [s]."""
        spent = self.drafter.seconds(self, batch, draft_length, context, step)
        return spent + self._passes(draft_length)

    def ragged_draft_seconds(self, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """Seconds of drafting [...] for sequences with their own draft lengths and contexts [..., sequences]."""
        spent = self.drafter.ragged_seconds(self, drafted, context, step)
        return spent + self._passes(np.max(drafted, axis=-1))

    def _passes(self, drafted: ArrayLike) -> Floats:
        """Fixed seconds of the passes that draft `drafted` tokens; a flat fraction of a target step has them in it."""
        return np.asarray(np.multiply(self.drafter.passes(drafted), self.terms.pass_seconds), np.float64)
