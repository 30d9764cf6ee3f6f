"""Feed-forward layers: dense, and a mixture of experts with shared experts.

Dense   3 H I weights (gate, up, down), all read, all used by every token.
MoE     every distinct routed expert of the step is read once; every token computes in top_k of them:
            flops = 2 (top_k W + W_shared) n,   bytes = (distinct W + W_shared) bytes per weight
        One kernel for routed and shared experts, as in the post ("The economics of speculative decoding",
        I(B) = 2B(k+1) / (b (A(B)+1))).
(SwiGLU: Shazeer, arXiv 2002.05202. MoE: Shazeer et al., arXiv 1701.06538. Shared experts: DeepSeekMoE,
arXiv 2401.06066.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError, whole
from montecarlo.roofline import Work


@dataclass(frozen=True)
class Dense:
    """A dense feed-forward layer of `intermediate` width."""

    intermediate: int

    @classmethod
    def of(cls, *, intermediate: int) -> "Dense":
        """Build a dense layer; raises InputError where the width is not positive."""
        return cls(whole("dense intermediate size", intermediate))

    def parameters(self, hidden: int) -> int:
        """Weights of gate, up and down."""
        return 3 * hidden * self.intermediate


@dataclass(frozen=True)
class MoE:
    """`experts` routed experts `intermediate` wide, `top_k` per token, shared experts `shared_intermediate` wide.

    groups, top_groups: a token's experts come from `top_groups` of `groups` equal groups of experts (DeepSeek-V3,
    arXiv 2412.19437, section 2.1.2). hash_layers: how many of the layers route by token id (DeepSeek-V4: the first
    3), so that two occurrences of a token share all experts. Neither changes what one layer costs.
    """

    experts: int
    top_k: int
    intermediate: int
    shared_intermediate: int = 0
    groups: int = 1
    top_groups: int = 1
    hash_layers: int = 0

    @classmethod
    def of(
        cls,
        *,
        experts: int,
        top_k: int,
        intermediate: int,
        shared_intermediate: int = 0,
        groups: int = 1,
        top_groups: int = 1,
        hash_layers: int = 0,
    ) -> "MoE":
        """Build a mixture; raises InputError where top_k experts cannot be chosen."""
        whole("number of experts", experts)
        if whole("top_k", top_k) > experts:
            raise InputError(f"top_k is {top_k} of {experts} experts; it must be between 1 and the number of experts")
        whole("expert intermediate size", intermediate)
        whole("shared expert intermediate size", shared_intermediate, least=0)
        if whole("top_groups", top_groups) > whole("groups", groups) or experts % groups:
            raise InputError(f"{top_groups} of {groups} groups of {experts} experts: groups must divide the experts")
        if top_k > top_groups * (experts // groups):
            raise InputError(f"top_k is {top_k}; {top_groups} of {groups} groups must hold top_k of {experts} experts")
        whole("hash_layers", hash_layers, least=0)
        return cls(experts, top_k, intermediate, shared_intermediate, groups, top_groups, hash_layers)

    def expert(self, hidden: int) -> int:
        """Weights of one routed expert."""
        return 3 * hidden * self.intermediate

    def shared(self, hidden: int) -> int:
        """Weights of the shared experts."""
        return 3 * hidden * self.shared_intermediate

    def router(self, hidden: int) -> int:
        """Weights of the router."""
        return hidden * self.experts

    def work(self, hidden: int, tokens: ArrayLike, distinct: ArrayLike, weight_bytes: float) -> Work:
        """Work of routed and shared experts for `tokens` that touch `distinct` experts; shapes broadcast."""
        used = self.top_k * self.expert(hidden) + self.shared(hidden)
        read = np.asarray(distinct, np.float64) * self.expert(hidden) + self.shared(hidden)
        return Work(flops=np.multiply(tokens, 2.0 * used), bytes=read * weight_bytes)
