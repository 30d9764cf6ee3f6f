"""Drafters: what drafting k tokens ahead costs.

EAGLE-3   one decoder layer at target width run k times in a row, fed 3H -> H fused target states, with the
          target's LM head (Li et al., arXiv 2503.01840). The first pass runs over the whole verified window,
          as engines do to fill the drafter's KV; the others over one token per sequence.
Block     several decoder layers run once a step over a whole block, whatever part of it is verified (DFlash: block
          diffusion, z-lab; DSpark: as many layers as `dspark_target_layer_ids` of DeepSeek-V4's configuration).
Flat      a fixed fraction c of one target step per drafted token (the post: c = 0.10); free is c = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.attention import Attention
from montecarlo.compressed import MLA
from montecarlo.errors import InputError, whole
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

    def passes(self, draft_length: ArrayLike) -> Floats:
        """Passes of the drafter: none of ours, their cost is in the fraction."""
        return np.zeros_like(np.asarray(draft_length, np.float64))

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

    def passes(self, draft_length: ArrayLike) -> Floats:
        """Passes of the drafter in a step: one for each draft."""
        return np.asarray(draft_length, np.float64)

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
        return linear(device, parameters, tokens, stored, self.activations)

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


@dataclass(frozen=True)
class Block:
    """`layers` decoder layers as wide as the target's, run once a step over `block` tokens of each sequence.

    body: widths and formats, as EAGLE-3 derives them. Every token of the block goes through the LM head; the states
    of the verified window are fused. DSpark's low-rank Markov head (rank 256) is left out.
    """

    body: Eagle3
    layers: int
    block: int

    @classmethod
    def of(cls, target: Target, *, layers: int, block: int, stored: str | None = None) -> "Block":
        """Derive it from `target`, as Eagle3.of does."""
        return cls(Eagle3.of(target, stored), whole("block drafter layers", layers), whole("drafted block", block))

    def layer_parameters(self) -> int:
        """Weights of one of its layers."""
        return self.body.attention.parameters(self.body.hidden) + self.body.ffn.parameters(self.body.hidden)

    def passes(self, draft_length: ArrayLike) -> Floats:
        """Passes of the drafter in a step: one, where anything is drafted."""
        return np.minimum(np.asarray(draft_length, np.float64), 1.0)

    def seconds(
        self,
        device: Device,
        batch: ArrayLike,
        draft_length: ArrayLike,
        context: ArrayLike,
        step: ArrayLike,
    ) -> Floats:
        """Seconds of one pass over the block of each sequence; shapes broadcast. `step` is not needed here."""
        length = np.asarray(draft_length, np.float64)
        cores = self.body.attention.kernels(batch, float(self.block), context, BYTES[self.body.kv_stored])
        once = self._once(device, np.multiply(batch, self.block), np.multiply(batch, length + 1), cores)
        return np.where(length > 0, once, 0.0)

    def ragged_seconds(self, device: Device, drafted: ArrayLike, context: ArrayLike, step: ArrayLike) -> Floats:
        """The same for sequences with their own draft lengths and contexts [..., sequences]."""
        lengths, seen = np.broadcast_arrays(np.asarray(drafted, np.float64), np.asarray(context, np.float64))
        drafting = (lengths > 0).astype(np.float64)
        per_sequence = self.body.attention.kernels(drafting, float(self.block), seen, BYTES[self.body.kv_stored])
        windows, many = (drafting * (lengths + 1)).sum(axis=-1), drafting.sum(axis=-1)
        return np.where(many > 0, self._once(device, many * self.block, windows, added(per_sequence)), 0.0)

    def _once(self, device: Device, tokens: ArrayLike, windows: ArrayLike, cores: Kernels) -> Floats:
        """Seconds of all layers and the LM head over `tokens`, and of fusing the target's states of `windows`."""
        body = self.body
        core = sum(device.seconds(work, arithmetic) for work, arithmetic in cores)
        layer = linear(device, self.layer_parameters(), tokens, body.stored, body.activations) + core
        fused = linear(device, body.fusion_parameters(), windows, body.stored, body.activations)
        head = linear(device, body.head_parameters(), tokens, body.head_stored, body.activations)
        return np.asarray(self.layers * layer + fused + head, np.float64)

    def weight_bytes(self) -> float:
        """Bytes of its own weights [B]; embedding and LM head are the target's."""
        return (self.layers * self.layer_parameters() + self.body.fusion_parameters()) * BYTES[self.body.stored]

    def kv_bytes(self, context: ArrayLike) -> Floats:
        """Bytes of its KV per sequence [B]."""
        return self.layers * self.body.kv_bytes(context)


Drafter = Eagle3 | Flat | Block


def linear(device: Device, parameters: int, tokens: ArrayLike, stored: str, activations: str | None) -> Floats:
    """Seconds of a matrix of `parameters` over `tokens` [s]."""
    return device.seconds(Work(np.multiply(tokens, 2.0 * parameters), parameters * BYTES[stored]), stored, activations)
