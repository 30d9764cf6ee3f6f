"""A claim, and what claims are computed from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from montecarlo import closed
from montecarlo.acceptance import Acceptance
from montecarlo.compressed import MLA
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.hardware import Hardware
from montecarlo.overlap import Overlap
from montecarlo.post import POST, Constants, Post
from montecarlo.target import Target
from studies import catalog
from traces import profiles

ALPHA, FRACTION, CONTEXT = 0.75, 0.10, 4096  # the post's defaults for its map


@dataclass(frozen=True)
class Claim:
    """`quantity`, computed, against what is claimed: equal within a share `within` of it, or on one side of `bound`."""

    id: str
    section: str
    statement: str
    quantity: str
    computed: float
    claimed: float | None = None
    within: float | None = None
    side: str = ""  # < <= > >=
    bound: float = 0.0
    unit: str = ""
    reason: str = ""

    @property
    def predicate(self) -> str:
        """What has to be true of the computed value, in symbols."""
        if self.within is None:
            return f"computed {self.side} {self.bound:.6g}"
        if self.within == 0:
            return f"computed = {self.claimed:.6g}"
        return f"computed within {100 * self.within:g} % of {self.claimed:.6g}"

    @property
    def holds(self) -> bool:
        """Whether it is."""
        value = float(self.computed)
        if self.within is not None:
            assert self.claimed is not None
            return bool(abs(value - self.claimed) <= self.within * abs(self.claimed) + 1e-12)
        sides = {"<": value < self.bound, "<=": value <= self.bound, ">": value > self.bound, ">=": value >= self.bound}
        return bool(sides[self.side])

    def row(self) -> dict[str, Any]:
        """The claim as a row of claims.parquet."""
        return {
            "id": self.id,
            "section": self.section,
            "statement": self.statement,
            "quantity": self.quantity,
            "value_claimed": self.claimed,
            "value_computed": float(self.computed),
            "unit": self.unit,
            "predicate": self.predicate,
            "holds": self.holds,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Inputs:
    """What claims are computed from: the charts' constants, the models, the device, the measured overlap."""

    constants: Constants
    flash: Target
    dense: Target  # Llama-3-70B
    grouped: Target  # a mixture of experts with GQA: Qwen3-235B-A22B
    hybrid: Target  # Qwen3.6-35B-A3B
    device: Hardware
    measured: dict[str, Any]  # the profile of Qwen3.6-35B-A3B
    mla: MLA  # the text's: V3's accounting with V4's 64 heads

    @classmethod
    def published(cls) -> "Inputs":
        """As published."""
        return cls(
            POST,
            catalog.target("deepseek-v4-flash"),
            catalog.target("llama-3-70b"),
            catalog.target("qwen3-235b-a22b"),
            catalog.target("qwen3.6-35b-a3b"),
            catalog.hardware("b200-sxm"),
            profiles.load("qwen3.6-35b-a3b").numbers,
            MLA.of(heads=64, kv_rank=512, rope=64, nope=128, value=128),
        )

    @property
    def post(self) -> Post:
        """The charts' prices."""
        return Post(Flat.of(fraction=FRACTION), self.constants)

    @property
    def uniform(self) -> Overlap:
        """The charts' routing."""
        return Overlap.uniform(self.constants.experts, self.constants.top_k)

    def overlap(self, target: Target) -> Overlap | None:
        """Measured overlap carried over to a target."""
        if target.moe is None:
            return None
        profile = profiles.Profile("overlap", "qwen3.6-35b-a3b", "", "", "", self.measured)
        return profiles.overlap(profile, experts=target.moe.experts, top_k=target.moe.top_k)

    def ideal(self, target: Target, fraction: float = FRACTION) -> Ideal:
        """Layer-by-layer prices on the device."""
        return Ideal(target, self.device, Flat.of(fraction=fraction))

    def best(
        self, batch: int, alpha: float = ALPHA, fraction: float = FRACTION, context: int = CONTEXT
    ) -> tuple[int, float]:
        """(best length, speedup) of the charts."""
        return best(
            Post(Flat.of(fraction=fraction), self.constants), self.uniform, Acceptance.iid(alpha), batch, context
        )


def best(
    prices: Ideal | Post, overlap: Overlap | None, law: Acceptance, batch: int, context: int, most: int = 64
) -> tuple[int, float]:
    """(best draft length up to `most`, its speedup) at one batch and context."""
    lengths = np.arange(most + 1)
    surface = closed.grid(prices, overlap, [batch], [context], lengths)
    found, gains = surface.best(law.tokens_per_step(lengths))
    return int(lengths[found[0, 0]]), float(gains[0, 0])


def crossing(function: Any, target: float, low: float, high: float) -> float:
    """Where a rising function reaches `target` between `low` and `high`; NaN where it does not."""
    if (function(low) - target) * (function(high) - target) > 0:
        return float("nan")
    return float(brentq(lambda x: function(x) - target, low, high, xtol=1e-12, rtol=1e-12))
