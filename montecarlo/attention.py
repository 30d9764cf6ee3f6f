"""Grouped-query attention (MHA is one group per head), with or without a sliding window.

Projections    q: H x n_h d_h,  k and v: H x n_kv d_h each,  o: n_h d_h x H
Core           2 n_h d_h (scores) + 2 n_h d_h (values) FLOP per pair of query and key
Memory         2 n_kv d_h elements of KV per token of context, read once per sequence and step
(Ainslie et al., GQA, arXiv 2305.13245; Beltagy et al., Longformer window, arXiv 2004.05150.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError, whole
from montecarlo.roofline import Floats, Work


@dataclass(frozen=True)
class Attention:
    """`heads`, `kv_heads`, `head_dim`; `window` [tokens] is 0 for full attention."""

    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0

    @classmethod
    def of(cls, *, heads: int, kv_heads: int, head_dim: int, window: int = 0) -> "Attention":
        """Build an attention; raises InputError where heads do not divide into groups."""
        for name, size in (("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)):
            whole(f"attention {name}", size)
        whole("attention window", window, least=0)
        if heads % kv_heads:
            raise InputError(f"attention has {heads} heads in {kv_heads} groups; heads must be a multiple of kv_heads")
        return cls(heads, kv_heads, head_dim, window)

    def parameters(self, hidden: int) -> int:
        """Weights of the four projections, biases left out."""
        return 2 * hidden * self.head_dim * (self.heads + self.kv_heads)

    def attended(self, context: ArrayLike) -> Floats:
        """Keys each query sees [tokens] at `context` [tokens]: all of them, or the window."""
        seen = np.asarray(context, np.float64)
        return np.minimum(seen, self.window) if self.window else seen

    def kv_elements(self) -> int:
        """KV elements per token of context."""
        return 2 * self.kv_heads * self.head_dim

    def core(self, sequences: ArrayLike, queries: ArrayLike, context: ArrayLike, kv_bytes: float) -> Work:
        """Work of the core for `sequences` x `queries` query tokens at `context` each; shapes broadcast.

        KV is read once per sequence whatever the number of queries; every query is taken to see the whole
        context, as in the post (its own few drafted neighbours are left out).
        """
        seen = self.attended(context)
        pairs = np.multiply(np.multiply(sequences, queries), seen)
        return Work(
            flops=4.0 * self.heads * self.head_dim * pairs,
            bytes=np.multiply(sequences, seen) * (self.kv_elements() * kv_bytes),
        )
