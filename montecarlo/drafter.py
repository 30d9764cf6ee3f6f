"""Drafters: what drafting k tokens ahead costs.

EAGLE-3   one decoder layer at target width run k times in a row, fed 3H -> H fused target states, with the
          target's LM head (Li et al., arXiv 2503.01840). The first pass runs over the whole verified window,
          as engines do to fill the drafter's KV; the others over one token per sequence.
Flat      a fixed fraction c of one target step per drafted token (the post: c = 0.10); free is c = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.attention import Attention
from montecarlo.compressed import MLA
from montecarlo.errors import InputError
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import BYTES, Device, known
from montecarlo.roofline import Floats, Kernels, Work, added
from montecarlo.target import AttentionKind, Target


@dataclass(frozen=True)
class Flat:
    """A drafter that costs `fraction` of one undrafted target step per drafted token and holds no memory."""

    fraction: float

    @classmethod
    def of(cls, *, fraction: float) -> "Flat":
        """Build it; raises InputError for a negative or endless cost."""
        if not (np.isfinite(fraction) and fraction >= 0):
            raise InputError(f"drafter fraction is {fraction}; it must be 0 or more, in target steps per draft")
        return cls(float(fraction))

    def seconds(
        self,
        device: Device,
        batch: ArrayLike,
        draft_length: ArrayLike,
        context: ArrayLike,
        step: ArrayLike,
    ) -> Floats:
        """Seconds of drafting, given the undrafted target `step` [s]; shapes broadcast."""
        return np.asarray(np.multiply(self.fraction, draft_length) * step, np.float64)

    def ragged_seconds(self, device: Device, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """The same for sequences with their own draft lengths [..., sequences]: as many drafts as the longest."""
        return self.seconds(device, 1, np.max(drafted, axis=-1), context, step)

    def weight_bytes(self) -> float:
        """Nothing: whatever it runs on is not ours to hold."""
        return 0.0

    def kv_bytes(self, context: ArrayLike) -> Floats:
        """Nothing."""
        return np.zeros_like(np.asarray(context, np.float64))


@dataclass(frozen=True)
class Eagle3:
    """One decoder layer derived from a target: its attention over 2H inputs, a dense layer, fusion, LM head.

    stored, head_stored, kv_stored: number formats of its weights, of the target's LM head, and of its KV;
    activations: as in Target.
    """

    hidden: int
    vocabulary: int
    attention: AttentionKind
    ffn: Dense
    stored: str
    head_stored: str
    kv_stored: str
    activations: str | None = None

    @classmethod
    def of(cls, target: Target, stored: str | None = None) -> "Eagle3":
        """Derive the drafter of `target`: full attention where it has some, else that of its first layers.

        The dense width is that of the target's dense layers, or of its active experts. `stored`: its weights'
        number format (None: the target's).
        """
        if stored is not None:
            known("drafter_format", stored)
        kinds = [kind for _, kind in target.attention]
        full = [kind for kind in kinds if isinstance(kind, MLA) or (isinstance(kind, Attention) and not kind.window)]
        attention = (full or kinds)[0]
        dense = next((kind for _, kind in target.ffn if isinstance(kind, Dense)), None)
        if dense is None:
            moe = next(kind for _, kind in target.ffn if isinstance(kind, MoE))
            dense = Dense(moe.top_k * moe.intermediate + moe.shared_intermediate)
        return cls(
            target.hidden,
            target.vocabulary,
            attention,
            dense,
            stored or target.weight_format,
            target.weight_format,
            target.kv_format,
            target.activation_format,
        )

    def layer_parameters(self) -> int:
        """Projections over the concatenated embedding and state (2H wide) and the dense layer."""
        return self.attention.parameters(self.hidden, 2 * self.hidden) + self.ffn.parameters(self.hidden)

    def fusion_parameters(self) -> int:
        """3H -> H, from low, middle and high target states."""
        return 3 * self.hidden * self.hidden

    def head_parameters(self) -> int:
        """The target's LM head, shared with it: read in every pass, stored once."""
        return self.hidden * self.vocabulary

    def seconds(
        self,
        device: Device,
        batch: ArrayLike,
        draft_length: ArrayLike,
        context: ArrayLike,
        step: ArrayLike,
    ) -> Floats:
        """Seconds of `draft_length` passes in a row; shapes broadcast. `step` is not needed here."""
        length = np.asarray(draft_length, np.float64)

        def cores(queries: ArrayLike) -> Kernels:
            return self.attention.kernels(batch, queries, context, BYTES[self.kv_stored])

        window = length + 1
        first = self._pass(device, np.multiply(batch, window), batch, cores(window))
        first = first + self._fusion(device, np.multiply(batch, window))
        later = self._pass(device, batch, batch, cores(1.0))
        return np.where(length > 0, first + (length - 1) * later, 0.0)

    def ragged_seconds(self, device: Device, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """The same for sequences with their own draft lengths and contexts [..., sequences].

        Pass i runs over the sequences that draft i tokens or more; one that drafts none is not run at all.
        """
        lengths, seen = np.broadcast_arrays(np.asarray(drafted, np.float64), np.asarray(context, np.float64))
        total = np.zeros(lengths.shape[:-1])
        for depth in range(1, int(lengths.max(initial=0)) + 1):
            drafting = (lengths >= depth).astype(np.float64)
            queries = lengths + 1 if depth == 1 else np.ones_like(lengths)
            tokens, sequences = (drafting * queries).sum(axis=-1), drafting.sum(axis=-1)
            kernels = added(self.attention.kernels(drafting, queries, seen, BYTES[self.kv_stored]))
            spent = self._pass(device, tokens, sequences, kernels)
            spent = spent + self._fusion(device, tokens) if depth == 1 else spent
            total = total + np.where(sequences > 0, spent, 0.0)
        return total

    def _linear(self, device: Device, parameters: int, tokens: ArrayLike, stored: str) -> Floats:
        work = Work(np.multiply(tokens, 2.0 * parameters), parameters * BYTES[stored])
        return device.seconds(work, stored, self.activations)

    def _fusion(self, device: Device, tokens: ArrayLike) -> Floats:
        """Seconds of fusing the target's states of `tokens`."""
        return self._linear(device, self.fusion_parameters(), tokens, self.stored)

    def _pass(self, device: Device, tokens: ArrayLike, sequences: ArrayLike, cores: Kernels) -> Floats:
        """Seconds of one pass over `tokens` of `sequences`: the layer, and the LM head for one token each."""
        core = sum(device.seconds(work, arithmetic) for work, arithmetic in cores)
        layer = self._linear(device, self.layer_parameters(), tokens, self.stored)
        return layer + core + self._linear(device, self.head_parameters(), sequences, self.head_stored)

    def weight_bytes(self) -> float:
        """Bytes of its own weights [B]; embedding and LM head are the target's."""
        return (self.layer_parameters() + self.fusion_parameters()) * BYTES[self.stored]

    def kv_bytes(self, context: ArrayLike) -> Floats:
        """Bytes of its KV per sequence [B]."""
        return self.attention.held_bytes(context, 1, BYTES[self.kv_stored])
