"""Linear attention: a gated delta net, whose state is a matrix per head, whatever the context.

    S <- g S;  S <- S + beta (v - S k) k';  o = S q        per value head, S [d_v, d_k]

Per token: decay 1, S k 2, update 2, S q 2: 7 d_k d_v FLOP per value head (a product and a sum count one each).
State: n_v d_k d_v elements, and the last `conv` inputs of the short convolution over queries, keys and values.

A verify that rejects drafts must go back to the state after the last accepted one. Two ways, and state traffic
is most of what such a layer costs, so which one matters to first order:

    states   one state per window position is written (T of them) and held: vLLM's state slots
    replay   the state after the last emitted token is written; the drafts' keys, values and gates are kept and
             those accepted are applied again in the next step (all T - 1 of them are counted)

(Yang, Kautz, Hatamizadeh, Gated Delta Networks, arXiv 2412.06464.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError, whole
from montecarlo.roofline import Floats, Kernels, Work

INPUT_BYTES = 2.0  # kept keys, values and gates, bf16 [B per element]
ROLLBACKS = ("states", "replay")


@dataclass(frozen=True)
class GatedDeltaNet:
    """Heads of keys and values and their widths, the convolution's width, bytes per state element, the rollback."""

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv: int = 4
    state_bytes: float = 2.0
    rollback: str = "states"

    @classmethod
    def of(
        cls,
        *,
        key_heads: int,
        value_heads: int,
        key_dim: int,
        value_dim: int,
        conv: int = 4,
        state_bytes: float = 2.0,
        rollback: str = "states",
    ) -> "GatedDeltaNet":
        """Build it; raises InputError for sizes that cannot be and rollbacks that are none."""
        heads = (("key_heads", key_heads), ("value_heads", value_heads))
        for name, size in (*heads, ("key_dim", key_dim), ("value_dim", value_dim)):
            whole(f"gated delta net {name}", size)
        whole("gated delta net conv", conv, least=0)
        if value_heads % key_heads:
            raise InputError(f"gated delta net value_heads {value_heads} must be a multiple of key_heads {key_heads}")
        if isinstance(state_bytes, bool) or not (np.isfinite(state_bytes) and state_bytes > 0):
            raise InputError(f"gated delta net state_bytes is {state_bytes}; it must be positive, in bytes per element")
        if rollback not in ROLLBACKS:
            raise InputError(f"rollback is {rollback!r}; allowed: {', '.join(ROLLBACKS)}")
        return cls(key_heads, value_heads, key_dim, value_dim, conv, float(state_bytes), rollback)

    @property
    def channels(self) -> int:
        """Width of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    def parameters(self, hidden: int, inputs: int = 0) -> int:
        """Weights of queries, keys, values, output gate, convolution and output; one gate per head left out."""
        values = self.value_heads * self.value_dim
        return (inputs or hidden) * (self.channels + values) + self.channels * self.conv + values * hidden

    def state(self) -> float:
        """Bytes of one state, convolution included [B]."""
        return (self.value_heads * self.key_dim * self.value_dim + self.channels * self.conv) * self.state_bytes

    def kept(self) -> float:
        """Bytes of what one token is applied again from [B]: its keys, values, and two gates per value head."""
        return (self.key_heads * self.key_dim + self.value_heads * (self.value_dim + 2)) * INPUT_BYTES

    def kernels(self, sequences: ArrayLike, queries: ArrayLike, context: ArrayLike, kv_bytes: float) -> Kernels:
        """The recurrence for `sequences` x `queries` tokens; neither `context` nor the cache's precision matters."""
        drafted = np.subtract(queries, 1.0)
        cells = self.value_heads * self.key_dim * self.value_dim
        if self.rollback == "replay":
            flops = cells * (7.0 * np.asarray(queries, np.float64) + 5.0 * drafted)
            moved = 2.0 * self.state() + 2.0 * self.kept() * drafted  # read and written, both
        else:
            flops = 7.0 * cells * np.asarray(queries, np.float64)
            moved = self.state() * np.add(queries, 1.0)  # one read, one written per position
        return ((Work(np.multiply(sequences, flops), np.multiply(sequences, moved)), "bf16"),)

    def held_bytes(self, context: ArrayLike, queries: ArrayLike, kv_bytes: float) -> Floats:
        """States one sequence holds [B] when its steps verify `queries` tokens."""
        window = np.asarray(queries, np.float64)
        return self.state() * window if self.rollback == "states" else self.state() + self.kept() * (window - 1)
