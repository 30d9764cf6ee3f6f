"""Attention over a compressed context: MLA, and the compressed latents of DeepSeek-V4 (HCA, CSA, window).

MLA         one latent of d_c + d_r elements per token stands for the keys and values of all heads.
    absorbed    2 n_h (2 d_c + d_r) FLOP per pair: heads attend to the latent itself
    mha         2 d_c n_h (d_n + d_v) FLOP per token of context to expand it, once for all queries, then
                2 n_h (d_n + d_r + d_v) per pair; cheaper above T = 170.67 queries for V3's dimensions
Compressed  one latent of d elements is key and value at once: 2 n_h (d + d) FLOP per pair. A query sees the
    latents of the context, one per `ratio` tokens, and those of the last `window` tokens.
    HCA     all context / ratio latents (ratio 128)
    CSA     of the context / ratio latents (ratio 4) the top_k that an indexer picks for each query; the indexer
            scores them all: 2 n_i d_i FLOP and d_i bytes each
    ratio 0 sees its window only
Memory      latents are read once per sequence, queries n_h (d_c + d_r) or n_h d elements per query token.

(DeepSeek-V2, arXiv 2405.04434, section 2.1, for MLA; "The economics of speculative decoding" for f, m_c and m_q;
DeepSeek-V4's inference code for its latent: head_dim = 448 + 64 rope, K and V the same vector.)
Rows are counted as context / ratio, not rounded down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError, whole
from montecarlo.roofline import Floats, Kernels, Work

QUERY_BYTES = 2.0  # queries and rotary parts stay in bf16 [B per element] (the post: b_q = 2; V4: 64 rope in bf16)
INDEX_KEY_BYTES = 1.0  # CSA's index keys are cached in fp8 [B per element] (the post)
INDEX_QUERY_BYTES = 0.5  # and scored against 4-bit queries [B per element] (V4 report: FP4 in the indexer's QK path)

LEAST_ONE = ("heads", "head_dim", "q_rank", "o_rank", "o_groups")  # sizes of Compressed that cannot be 0


@dataclass(frozen=True)
class MLA:
    """Multi-head latent attention: kv_rank d_c, rope d_r, nope d_n, value d_v; q_rank 0: queries of full rank."""

    heads: int
    kv_rank: int
    rope: int
    nope: int
    value: int
    q_rank: int = 0
    form: str = "absorbed"

    @classmethod
    def of(
        cls, *, heads: int, kv_rank: int, rope: int, nope: int, value: int, q_rank: int = 0, form: str = "absorbed"
    ) -> "MLA":
        """Build it; raises InputError for sizes that cannot be and forms that are none."""
        for name, size in (("heads", heads), ("kv_rank", kv_rank), ("nope", nope), ("value", value)):
            whole(f"mla {name}", size)
        for name, size in (("rope", rope), ("q_rank", q_rank)):
            whole(f"mla {name}", size, least=0)
        if form not in ("absorbed", "mha"):
            raise InputError(f"mla form is {form!r}; allowed: absorbed, mha")
        return cls(heads, kv_rank, rope, nope, value, q_rank, form)

    def expansion(self) -> int:
        """Weights that expand a latent to keys and values of all heads; absorbed, they act on queries and outputs."""
        return self.kv_rank * self.heads * (self.nope + self.value)

    def parameters(self, hidden: int, inputs: int = 0) -> int:
        """Weights of the projections from `inputs` (0: hidden) to `hidden`."""
        inputs, queries = inputs or hidden, self.heads * (self.nope + self.rope)
        query = (inputs + queries) * self.q_rank if self.q_rank else inputs * queries
        return query + inputs * (self.kv_rank + self.rope) + self.expansion() + self.heads * self.value * hidden

    def kernels(self, sequences: ArrayLike, queries: ArrayLike, context: ArrayLike, kv_bytes: float) -> Kernels:
        """The core for `sequences` x `queries` query tokens at `context` each; expanded keys stay on chip."""
        width = self.kv_rank + self.rope
        keys = np.multiply(sequences, np.asarray(context, np.float64))
        asked = np.multiply(sequences, np.asarray(queries, np.float64))
        pairs = np.multiply(asked, np.asarray(context, np.float64))
        if self.form == "mha":
            flops = 2.0 * self.expansion() * keys + 2.0 * self.heads * (self.nope + self.rope + self.value) * pairs
            width_asked = self.nope + self.rope
        else:
            flops = 2.0 * self.heads * (2 * self.kv_rank + self.rope) * pairs
            width_asked = width
        read = keys * (width * kv_bytes) + asked * (self.heads * width_asked * QUERY_BYTES)
        return ((Work(flops, read), "bf16"),)

    def held_bytes(self, context: ArrayLike, queries: ArrayLike, kv_bytes: float) -> Floats:
        """Latents one sequence holds at `context` tokens [B]."""
        return np.asarray(context, np.float64) * ((self.kv_rank + self.rope) * kv_bytes)


@dataclass(frozen=True)
class Compressed:
    """A layer of DeepSeek-V4: latents of `head_dim` (`rope` of them in bf16), one per `ratio` tokens, and a window.

    index_top_k = 0: no indexer (HCA, or the window alone). index_spread: top-k rows are chosen per query token;
    each further query reads this share of its rows for itself, between 0 (all share one set) and 1 (none is shared).
    """

    heads: int
    head_dim: int
    rope: int
    q_rank: int
    o_rank: int
    o_groups: int
    window: int
    ratio: int
    index_heads: int = 0
    index_dim: int = 0
    index_top_k: int = 0
    index_spread: float = 0.0

    @classmethod
    def of(
        cls,
        *,
        heads: int,
        head_dim: int,
        rope: int,
        q_rank: int,
        o_rank: int,
        o_groups: int,
        window: int,
        ratio: int,
        index_heads: int = 0,
        index_dim: int = 0,
        index_top_k: int = 0,
        index_spread: float = 0.0,
    ) -> "Compressed":
        """Build it; raises InputError for a layer that sees nothing, and for half an indexer."""
        sizes = (heads, head_dim, rope, q_rank, o_rank, o_groups, window, ratio, index_heads, index_dim, index_top_k)
        for name, size in zip(cls.__dataclass_fields__, sizes, strict=False):
            whole(f"compressed {name}", size, least=1 if name in LEAST_ONE else 0)
        if rope > head_dim or heads % o_groups:
            raise InputError(
                f"compressed rope {rope} must be at most head_dim {head_dim}, heads {heads} a multiple of "
                f"o_groups {o_groups}"
            )
        if window + ratio == 0:
            raise InputError("compressed window and ratio must be 0 or more, and not both 0")
        if len({index_heads > 0, index_dim > 0, index_top_k > 0}) > 1 or (index_top_k and not ratio):
            raise InputError(
                f"compressed index_heads {index_heads}, index_dim {index_dim}, index_top_k {index_top_k}: "
                "give all three and a ratio, or none"
            )
        if isinstance(index_spread, bool) or not 0 <= index_spread <= 1:
            raise InputError(f"compressed index_spread is {index_spread}; a share is between 0 and 1")
        return cls(*sizes, float(index_spread))

    def parameters(self, hidden: int, inputs: int = 0) -> int:
        """Weights of projections (queries low-rank, outputs low-rank by group), compressor and indexer.

        A compressor has keys and gates; under an indexer its blocks overlap, which doubles both (V4's code).
        """
        inputs, wide = inputs or hidden, self.heads * self.head_dim
        total = (inputs + wide) * self.q_rank + inputs * self.head_dim
        total += (wide + self.o_groups * hidden) * self.o_rank
        overlap = 2 if self.index_top_k else 1
        if self.ratio > 1:
            total += inputs * 2 * overlap * self.head_dim
        if self.index_top_k:
            total += self.q_rank * self.index_heads * self.index_dim + inputs * self.index_heads
            total += inputs * 2 * overlap * self.index_dim
        return total

    def rows(self, context: ArrayLike) -> Floats:
        """Compressed latents at `context` [tokens]."""
        seen = np.asarray(context, np.float64)
        return seen / self.ratio if self.ratio else np.zeros_like(seen)

    def selected(self, context: ArrayLike) -> Floats:
        """Compressed latents each query attends to."""
        return np.minimum(self.rows(context), self.index_top_k) if self.index_top_k else self.rows(context)

    def latent_bytes(self, kv_bytes: float) -> float:
        """Bytes of one latent [B]: 448 at the precision of the cache and 64 in bf16, 576 B at fp8."""
        return (self.head_dim - self.rope) * kv_bytes + self.rope * QUERY_BYTES

    def kernels(self, sequences: ArrayLike, queries: ArrayLike, context: ArrayLike, kv_bytes: float) -> Kernels:
        """The core (bf16) and, with an indexer, its scoring (fp8), for `sequences` x `queries` tokens at `context`."""
        rows, selected = self.rows(context), self.selected(context)
        recent = np.minimum(np.asarray(context, np.float64), self.window)
        asked = np.multiply(sequences, np.asarray(queries, np.float64))
        loaded = np.minimum(rows, selected * (1 + self.index_spread * np.subtract(queries, 1.0))) + recent
        wide = self.heads * self.head_dim
        core = Work(
            flops=4.0 * wide * asked * (selected + recent),
            bytes=np.multiply(sequences, loaded) * self.latent_bytes(kv_bytes) + asked * (wide * QUERY_BYTES),
        )
        if not self.index_top_k:
            return ((core, "bf16"),)
        scored = self.index_heads * self.index_dim
        indexer = Work(
            flops=2.0 * scored * asked * rows,
            bytes=np.multiply(sequences, rows) * (self.index_dim * INDEX_KEY_BYTES)
            + asked * (scored * INDEX_QUERY_BYTES),
        )
        return ((core, "bf16"), (indexer, "fp8"))

    def held_bytes(self, context: ArrayLike, queries: ArrayLike, kv_bytes: float) -> Floats:
        """Latents, index keys and window one sequence holds at `context` tokens [B]."""
        recent = np.minimum(np.asarray(context, np.float64), self.window)
        rows = self.rows(context)
        return (rows + recent) * self.latent_bytes(kv_bytes) + rows * (self.index_dim * INDEX_KEY_BYTES)
