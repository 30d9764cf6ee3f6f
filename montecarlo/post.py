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
from montecarlo.roofline import Floats

W_ATTN = 107e6  # fp8 weights per layer [B]
W_E = 25.2e6  # weights per expert
EXPERT_BYTES = 0.53  # MXFP4 bytes per weight, as in the charts (the text says 0.5)
PHI = 69_632  # multiply-adds per pair of query and key: 64 x 1,088
KAPPA = 576  # KV bytes per token of context, fp8
RIDGE_BF16, RIDGE_FP8, RIDGE_FP4 = 281, 563, 1125  # FLOP/B of a B200
EXPERTS, TOP_K, SHARED, LAYERS = 256, 6, 1, 43  # DeepSeek-V4-Flash
BANDWIDTH = 8e12  # B200 [B/s]


@dataclass(frozen=True)
class Post:
    """The post's price list, with its drafter of a flat fraction."""

    drafter: Flat

    def other_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> Floats:
        """Attention projections and attention of all layers [s]; shapes broadcast."""
        window = np.add(draft_length, 1.0)
        tokens = np.multiply(batch, window)
        projections = np.maximum(2 * W_ATTN * tokens / RIDGE_FP8, W_ATTN)
        per_sequence = np.maximum(np.multiply(2.0 * PHI * window, context) / RIDGE_BF16, np.multiply(KAPPA, context))
        return np.asarray(LAYERS * (projections + np.multiply(batch, per_sequence)) / BANDWIDTH, np.float64)

    def moe_seconds(self, tokens: ArrayLike, distinct: ArrayLike) -> Floats:
        """Experts of one layer [s] for `tokens` that touch `distinct` routed experts."""
        compute = np.multiply(tokens, 2.0 * (TOP_K + SHARED) * W_E / RIDGE_FP4)
        memory = (np.asarray(distinct, np.float64) + SHARED) * (W_E * EXPERT_BYTES)
        return np.asarray(np.maximum(compute, memory) / BANDWIDTH, np.float64)

    def draft_seconds(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """c g of one undrafted target `step` [s]."""
        return np.asarray(np.multiply(self.drafter.fraction, draft_length) * step, np.float64)

    def fits(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> np.ndarray | None:
        """None: the post checks no memory."""
        return None


def closed_form_speedup(
    alpha: float, fraction: float, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike
) -> Floats:
    """The post's speedup with its A(t) = E (1 - (1 - k/E)^t) and N = (1 - alpha^(g+1)) / (1 - alpha)."""
    prices = Post(Flat.of(fraction=fraction))

    def step(length: ArrayLike) -> Floats:
        tokens = np.multiply(batch, np.add(length, 1.0))
        active = EXPERTS * -np.expm1(tokens * np.log1p(-TOP_K / EXPERTS))
        return prices.other_seconds(batch, length, context) + LAYERS * prices.moe_seconds(tokens, active)

    undrafted = step(0)
    emitted = (1 - np.power(alpha, np.add(draft_length, 1.0))) / (1 - alpha)
    drafting = prices.draft_seconds(batch, draft_length, context, undrafted)
    return np.asarray(emitted * undrafted / (step(draft_length) + drafting), np.float64)
