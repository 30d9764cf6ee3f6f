"""A target: the model whose text is drafted ahead, as a list of its layers."""

from dataclasses import dataclass, replace

from montecarlo.attention import Attention
from montecarlo.compressed import MLA, Compressed
from montecarlo.errors import InputError, whole
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import known
from montecarlo.linear import GatedDeltaNet

AttentionKind = Attention | MLA | Compressed | GatedDeltaNet


@dataclass(frozen=True)
class Target:
    """`attention` and `ffn` list (number of layers, kind); both sum to the same depth.

    expert_format stores routed and shared experts; weight_format everything else; kv_format the KV cache
    (names of `montecarlo.hardware.BYTES`). activation_format: the precision of what multiplies the weights (None:
    that of the weights); attention cores state their own.
    """

    hidden: int
    vocabulary: int
    attention: tuple[tuple[int, AttentionKind], ...]
    ffn: tuple[tuple[int, Dense | MoE], ...]
    weight_format: str
    expert_format: str
    kv_format: str
    activation_format: str | None = None

    @classmethod
    def of(
        cls,
        *,
        hidden: int,
        vocabulary: int,
        attention: tuple[tuple[int, AttentionKind], ...],
        ffn: tuple[tuple[int, Dense | MoE], ...],
        weight_format: str = "bf16",
        expert_format: str = "bf16",
        kv_format: str = "bf16",
    ) -> "Target":
        """Build a target; raises InputError where the layer lists disagree or hold two kinds of MoE."""
        depths = sum(count for count, _ in attention), sum(count for count, _ in ffn)
        if depths[0] != depths[1] or depths[0] < 1:
            raise InputError(f"target has {depths[0]} attention and {depths[1]} feed-forward layers; they must agree")
        hashed = [(count, kind.hash_layers) for count, kind in ffn if isinstance(kind, MoE)]
        if any(routed_by_token > count for count, routed_by_token in hashed):
            raise InputError(f"target has {hashed[0][1]} hash_layers of {hashed[0][0]} MoE layers")
        whole("target hidden size", hidden)
        whole("target vocabulary", vocabulary)
        if sum(isinstance(kind, MoE) for _, kind in ffn) > 1:
            raise InputError("target lists two kinds of MoE layer; one kind is allowed")
        for name, stored in (
            ("weight_format", weight_format),
            ("expert_format", expert_format),
            ("kv_format", kv_format),
        ):
            known(name, stored)
        return cls(hidden, vocabulary, attention, ffn, weight_format, expert_format, kv_format)

    def with_formats(self, **formats: str | None) -> "Target":
        """The same target with weight_, expert_, kv_ or activation_format as given (None: its own)."""
        chosen = {name: stored for name, stored in formats.items() if stored is not None}
        for name, stored in chosen.items():
            known(name, stored)
        return replace(self, **chosen)  # type: ignore[arg-type]

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
