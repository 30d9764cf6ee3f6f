"""Prices `post`: the chart formula of "The economics of speculative decoding", to the letter.

Per layer, in bytes-equivalents (C2 and C3 of github.com/fergusfinn/fergusfinn.github.io@ba95c791,
src/components/specdec/SpecDecLedger.tsx and SpecDecOptimalGamma.tsx):

    C_attnproj(t) = max(2 W_ATTN t / 563, W_ATTN)
    C_MoE(t)      = max(2 (6+1) W_E t / 1125, (A(t)+1) W_E 0.53)
    C_attn(B,q,S) = B max(2 PHI S q / 281, 576 S)
    speedup       = N / (C(B, g+1, S) / C(B, 1, S) + c g)

A(t) is the number of distinct experts, here drawn rather than its mean. Seconds are bytes-equivalents of all
layers over the bandwidth of a B200. No LM head, no memory limit: the post has neither.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.drafter import Flat
from montecarlo.roofline import Floats, Kernel, Work, seconds


@dataclass(frozen=True)
class Constants:
    """What the post's charts are drawn from: DeepSeek-V4-Flash on a B200."""

    attention_weights: float = 107e6  # W_ATTN, fp8 weights per layer [B]
    expert_weights: float = 25.2e6  # W_E, weights per expert
    expert_bytes: float = 0.53  # MXFP4 bytes per weight b, as in the charts (the text says 0.5)
    pairs: float = 69_632  # PHI, multiply-adds per pair of query and key: 64 x 1,088
    kv_bytes: float = 576  # per token of context, fp8 [B]
    ridge_bf16: float = 281  # FLOP/B of a B200
    ridge_fp8: float = 563
    ridge_fp4: float = 1125
    bandwidth: float = 8e12  # B200 [B/s]
    experts: int = 256  # E
    top_k: int = 6  # k
    shared: int = 1
    layers: int = 43


POST = Constants()


@dataclass(frozen=True)
class Post:
    """The post's price list, with its drafter of a flat fraction."""

    drafter: Flat
    constants: Constants = POST

    @property
    def bandwidth(self) -> float:
        """Memory bandwidth [B/s]."""
        return self.constants.bandwidth

    @property
    def moe_layers(self) -> int:
        """Every layer has experts."""
        return self.constants.layers

    def kernels(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> list[Kernel]:
        """Attention projections and attention of all layers; shapes broadcast."""
        window = np.add(draft_length, 1.0)
        keys = np.multiply(batch, np.asarray(context, np.float64))
        return self._kernels(np.multiply(batch, window), keys, keys * window)

    def ragged(self, queries: ArrayLike, context: ArrayLike) -> list[Kernel]:
        """The same for sequences with their own `queries` and `context` [..., sequences]: works [...]."""
        asked, keys = np.broadcast_arrays(np.asarray(queries, np.float64), np.asarray(context, np.float64))
        return self._kernels(asked.sum(axis=-1), keys.sum(axis=-1), (asked * keys).sum(axis=-1))

    def _kernels(self, tokens: ArrayLike, keys: ArrayLike, pairs: ArrayLike) -> list[Kernel]:
        given = self.constants
        projections = Work(
            2 * given.attention_weights * np.asarray(tokens), np.asarray(given.attention_weights, np.float64)
        )
        core = Work(2 * given.pairs * np.asarray(pairs), given.kv_bytes * np.asarray(keys))
        return [
            Kernel("projections", given.layers, projections, given.ridge_fp8 * given.bandwidth),
            Kernel("attention", given.layers, core, given.ridge_bf16 * given.bandwidth),
        ]

    def experts(self, tokens: ArrayLike, distinct: ArrayLike) -> Kernel:
        """The experts of all layers for `tokens` that touch `distinct` routed experts in each."""
        given = self.constants
        flops = np.multiply(tokens, 2.0 * (given.top_k + given.shared) * given.expert_weights)
        read = (np.asarray(distinct, np.float64) + given.shared) * (given.expert_weights * given.expert_bytes)
        return Kernel("experts", given.layers, Work(flops, read), given.ridge_fp4 * given.bandwidth)

    def other_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> Floats:
        """Attention projections and attention of all layers [s]; shapes broadcast."""
        kernels = self.kernels(batch, draft_length, context)
        return np.asarray(sum(kernel.seconds(self.bandwidth) for kernel in kernels), np.float64)

    def ragged_seconds(self, queries: ArrayLike, context: ArrayLike) -> Floats:
        """The same [s] for sequences with their own queries and contexts [..., sequences]."""
        return np.asarray(sum(kernel.seconds(self.bandwidth) for kernel in self.ragged(queries, context)), np.float64)

    def moe_seconds(self, tokens: ArrayLike, distinct: ArrayLike) -> Floats:
        """Experts of one layer [s] for `tokens` that touch `distinct` routed experts."""
        kernel = self.experts(tokens, distinct)
        return seconds(kernel.work, kernel.peak, self.bandwidth)

    def draft_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """c g of one undrafted target `step` [s]."""
        return np.asarray(np.multiply(self.drafter.fraction, draft_length) * step, np.float64)

    def ragged_draft_seconds(self, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """The same with g the longest of the drafts [..., sequences]."""
        return self.draft_seconds(1, np.max(drafted, axis=-1), context, step)

    def fits(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> np.ndarray | None:
        """None: the post checks no memory."""
        return None
