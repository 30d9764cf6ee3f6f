"""What fits: weights, KV of every sequence, and the drafter with its own KV, in one device's memory.

    weights + B (context + k + 1) KV per token + drafter  <=  memory

Activations, CUDA graphs and fragmentation are left out, so `fits` is an upper bound.
"""

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.drafter import Drafter
from montecarlo.ffn import MoE
from montecarlo.hardware import BYTES, Hardware
from montecarlo.roofline import Floats
from montecarlo.target import Target


def weight_bytes(target: Target) -> float:
    """Bytes of all weights of the target [B], embedding included."""
    total, _ = target.parameters()
    experts = sum(
        count * (kind.experts * kind.expert(target.hidden) + kind.shared(target.hidden))
        for count, kind in target.ffn
        if isinstance(kind, MoE)
    )
    return experts * BYTES[target.expert_format] + (total - experts) * BYTES[target.weight_format]


def kv_bytes(target: Target, context: ArrayLike, queries: ArrayLike = 1) -> Floats:
    """Bytes of KV and state [B] one sequence holds at `context` [tokens] when its steps verify `queries` tokens."""
    per_element = BYTES[target.kv_format]
    held = [count * kind.held_bytes(context, queries, per_element) for count, kind in target.attention]
    return np.asarray(sum(held), np.float64)


def needed_bytes(
    target: Target, drafter: Drafter, batch: ArrayLike, context: ArrayLike, draft_length: ArrayLike
) -> Floats:
    """Bytes a step holds [B]; shapes broadcast. The drafter counts where draft_length > 0."""
    window = np.add(draft_length, 1)
    held = np.add(context, window)
    drafting = np.asarray(draft_length) > 0
    needed = weight_bytes(target) + np.multiply(batch, kv_bytes(target, held, window))
    return needed + np.where(drafting, drafter.weight_bytes() + np.multiply(batch, drafter.kv_bytes(held)), 0.0)


def fits(
    target: Target,
    drafter: Drafter,
    hardware: Hardware,
    batch: ArrayLike,
    context: ArrayLike,
    draft_length: ArrayLike,
) -> np.ndarray:
    """Whether the step's state fits in memory; shapes broadcast."""
    return np.asarray(needed_bytes(target, drafter, batch, context, draft_length) <= hardware.memory)
