"""Grouped-query attention (MHA is one group per head), with or without a sliding window.

Projections    q: H x n_h d_h,  k and v: H x n_kv d_h each,  o: n_h d_h x H
Gate           H x n_h d_h more where outputs are gated (Qwen3-Next)
Core           2 n_h d_h (scores) + 2 n_h d_h (values) FLOP per pair of query and key
Memory         2 n_kv d_h elements of KV per token of context, read once per sequence and step
(Ainslie et al., GQA, arXiv 2305.13245; Beltagy et al., Longformer window, arXiv 2004.05150.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError, whole
from montecarlo.roofline import Floats, Kernels, Work


@dataclass(frozen=True)
class Attention:
    """`heads`, `kv_heads`, `head_dim`; `window` [tokens] is 0 for full attention; `gated` outputs or not."""

    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0
    gated: bool = False

    @classmethod
    def of(cls, *, heads: int, kv_heads: int, head_dim: int, window: int = 0, gated: bool = False) -> "Attention":
        """Build an attention; raises InputError where heads do not divide into groups."""
        for name, size in (("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)):
            whole(f"attention {name}", size)
        whole("attention window", window, least=0)
        if heads % kv_heads:
            raise InputError(f"attention has {heads} heads in {kv_heads} groups; heads must be a multiple of kv_heads")
        return cls(heads, kv_heads, head_dim, window, bool(gated))

    def parameters(self, hidden: int, inputs: int = 0) -> int:
        """Weights of the projections from `inputs` (0: hidden) to `hidden`, biases left out."""
        asked = self.heads * (2 if self.gated else 1)
        return self.head_dim * ((inputs or hidden) * (asked + 2 * self.kv_heads) + hidden * self.heads)

    def attended(self, context: ArrayLike) -> Floats:
        """Keys each query sees [tokens] at `context` [tokens]: all of them, or the window."""
        seen = np.asarray(context, np.float64)
        return np.minimum(seen, self.window) if self.window else seen

    def kv_elements(self) -> int:
        """KV elements per token of context."""
        return 2 * self.kv_heads * self.head_dim

    def kernels(self, sequences: ArrayLike, queries: ArrayLike, context: ArrayLike, kv_bytes: float) -> Kernels:
        """The core for `sequences` x `queries` query tokens at `context` each; shapes broadcast.

        KV is read once per sequence whatever the number of queries; every query is taken to see the whole
        context, as in the post (its own few drafted neighbours are left out). Arithmetic in bf16 whatever the
        cache is stored in.
        """
        seen = self.attended(context)
        pairs = np.multiply(np.multiply(sequences, queries), seen)
        core = Work(
            flops=4.0 * self.heads * self.head_dim * pairs,
            bytes=np.multiply(sequences, seen) * (self.kv_elements() * kv_bytes),
        )
        return ((core, "bf16"),)

    def held_bytes(self, context: ArrayLike, queries: ArrayLike, kv_bytes: float) -> Floats:
        """KV one sequence holds at `context` tokens [B]: a window holds its window; `queries` do not matter."""
        return self.attended(context) * (self.kv_elements() * kv_bytes)
