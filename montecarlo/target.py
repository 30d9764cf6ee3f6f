"""A target: the model whose text is drafted ahead, as a list of its layers."""

from dataclasses import dataclass

from montecarlo.attention import Attention
from montecarlo.errors import InputError, whole
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import BYTES


@dataclass(frozen=True)
class Target:
    """`attention` and `ffn` list (number of layers, kind); both sum to the same depth.

    expert_format stores routed and shared experts; weight_format everything else; kv_format the KV cache
    (names of `montecarlo.hardware.BYTES`).
    """

    hidden: int
    vocabulary: int
    attention: tuple[tuple[int, Attention], ...]
    ffn: tuple[tuple[int, Dense | MoE], ...]
    weight_format: str
    expert_format: str
    kv_format: str

    @classmethod
    def of(
        cls,
        *,
        hidden: int,
        vocabulary: int,
        attention: tuple[tuple[int, Attention], ...],
        ffn: tuple[tuple[int, Dense | MoE], ...],
        weight_format: str = "bf16",
        expert_format: str = "bf16",
        kv_format: str = "bf16",
    ) -> "Target":
        """Build a target; raises InputError where the layer lists disagree or hold two kinds of MoE."""
        depths = sum(count for count, _ in attention), sum(count for count, _ in ffn)
        if depths[0] != depths[1] or depths[0] < 1:
            raise InputError(f"target has {depths[0]} attention and {depths[1]} feed-forward layers; they must agree")
        whole("target hidden size", hidden)
        whole("target vocabulary", vocabulary)
        if sum(isinstance(kind, MoE) for _, kind in ffn) > 1:
            raise InputError("target lists two kinds of MoE layer; one kind is allowed")
        for name in (weight_format, expert_format, kv_format):
            if not isinstance(name, str) or name not in BYTES:
                raise InputError(f"number format {name!r} is not one of {', '.join(BYTES)}")
        return cls(hidden, vocabulary, attention, ffn, weight_format, expert_format, kv_format)

    @property
    def layers(self) -> int:
        """Depth of the target."""
        return sum(count for count, _ in self.attention)

    @property
    def moe(self) -> MoE | None:
        """The kind of its MoE layers, or None for a dense target."""
        return next((kind for _, kind in self.ffn if isinstance(kind, MoE)), None)

    @property
    def moe_layers(self) -> int:
        """Number of its MoE layers."""
        return sum(count for count, kind in self.ffn if isinstance(kind, MoE))

    def parameters(self) -> tuple[int, int]:
        """(total, active per token): norms and biases left out, embedding rows not counted as active."""
        head = self.hidden * self.vocabulary
        total, active = 2 * head, head
        for count, attention in self.attention:
            total += count * attention.parameters(self.hidden)
            active += count * attention.parameters(self.hidden)
        for count, kind in self.ffn:
            if isinstance(kind, Dense):
                total += count * kind.parameters(self.hidden)
                active += count * kind.parameters(self.hidden)
            else:
                always = kind.router(self.hidden) + kind.shared(self.hidden)
                total += count * (always + kind.experts * kind.expert(self.hidden))
                active += count * (always + kind.top_k * kind.expert(self.hidden))
        return total, active
