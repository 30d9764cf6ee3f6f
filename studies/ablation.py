"""From the post's price list to the true DeepSeek-V4-Flash, one change at a time, and what each does.

Steps build on each other; the last but two price the model layer by layer exactly as `prices = ideal` does, the
last two replace uniform routing by the overlap measured on Qwen3.6-35B-A3B (a stated assumption: no such measurement
of V4-Flash is public). Acceptance, drafter and device stay the post's: alpha 0.75, 0.10 of a step per draft, B200.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from montecarlo import closed, estimate
from montecarlo.compressed import QUERY_BYTES, Compressed
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.overlap import Overlap
from montecarlo.post import POST, Constants, Post
from montecarlo.roofline import Kernel, Work
from studies import catalog
from studies.columns import ABLATION
from traces import profiles

ALPHA, FRACTION = 0.75, 0.10  # the post's defaults
BATCHES = (*range(1, 17), 20, 24, 32, 43, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192, 10_000)
CONTEXTS = (4096, 16_845, 131_072)
LENGTHS = tuple(range(65))


@dataclass(frozen=True)
class LayerByLayer(Ideal):
    """Ideal prices of V4 with some of the post's accounting left in.

    latent_scale: (FLOP, bytes) of a pair and of a row over the true ones. queries: whether query bytes are counted.
    whole: whether LM head and router are.
    """

    latent_scale: tuple[float, float] = (1.0, 1.0)
    queries: bool = True
    whole: bool = True

    def kernels(self, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike) -> list[Kernel]:
        """The kernels of the true layers, with the accounting asked for."""
        found = []
        cores = iter([kind for _, kind in self.target.attention for _ in kind.kernels(1, 1, 1, 1.0)])
        asked = np.multiply(batch, np.add(draft_length, 1.0))
        for kernel in super().kernels(batch, draft_length, context):
            if kernel.term in ("lm_head", "router") and not self.whole:
                continue
            if kernel.term == "attention":
                kind = next(cores)
                assert isinstance(kind, Compressed)
                kernel = self._accounted(kernel, kind, asked)
            found.append(kernel)
        return found

    def _accounted(self, kernel: Kernel, kind: Compressed, asked: ArrayLike) -> Kernel:
        indexer = kernel.peak != self.hardware.peak("bf16")
        per_query = kind.index_heads * kind.index_dim / 2 if indexer else kind.heads * kind.head_dim * QUERY_BYTES
        query = np.multiply(asked, per_query)
        flops, read = (1.0, 1.0) if indexer else self.latent_scale
        rows = np.subtract(kernel.work.bytes, query) * read
        work = Work(np.multiply(kernel.work.flops, flops), rows + query if self.queries else rows)
        return replace(kernel, work=work)


@dataclass(frozen=True)
class Step:
    """One stage: what it is called, what changed, and how a step is priced."""

    name: str
    change: str
    prices: Ideal | Post
    overlap: Overlap


def steps() -> list[Step]:
    """The stages, from the post's charts to the true model with measured overlap."""
    target, hardware, drafter = (
        catalog.target("deepseek-v4-flash"),
        catalog.hardware("b200-sxm"),
        Flat.of(fraction=FRACTION),
    )
    moe = target.moe
    assert moe is not None
    uniform = Overlap.uniform(moe.experts, moe.top_k)
    measured = profiles.overlap(profiles.load("qwen3.6-35b-a3b"), experts=moe.experts, top_k=moe.top_k)
    window = next(kind for _, kind in target.attention if isinstance(kind, Compressed) and not kind.ratio)
    exact = Constants(
        attention_weights=float(window.parameters(target.hidden)),
        expert_weights=float(moe.expert(target.hidden)),
        expert_bytes=17 / 32,
        ridge_bf16=hardware.bf16 / hardware.bandwidth,
        ridge_fp8=hardware.fp8 / hardware.bandwidth,
        ridge_fp4=hardware.fp4 / hardware.bandwidth,
    )
    latent = (POST.pairs / (2.0 * window.heads * window.head_dim), 1.0)  # 1,088 elements of a pair instead of 1,024
    true = Ideal(target, hardware, drafter)
    layered = LayerByLayer(target, hardware, drafter, latent_scale=latent, queries=False, whole=False)
    return [
        Step("the post's charts", "as printed", Post(drafter), uniform),
        Step(
            "exact bytes",
            "weights of the true shapes, MXFP4 at 17/32 B, ridges 281.25, 562.5, 1125",
            Post(drafter, exact),
            uniform,
        ),
        Step(
            "layer mix",
            "21 CSA, 20 HCA and 2 window layers instead of 43 of plain MLA over the whole context",
            layered,
            uniform,
        ),
        Step(
            "latent",
            "a latent 512 wide in all, key and value at once, instead of 512 + 64",
            replace(layered, latent_scale=(1.0, 1.0)),
            uniform,
        ),
        Step("query bytes", "queries are read too", replace(layered, latent_scale=(1.0, 1.0), queries=True), uniform),
        Step("LM head and router", "every weight of the model is read", true, uniform),
        Step(
            "overlap across the batch",
            "experts are popular or not: published popularity of Qwen3.6-35B-A3B",
            true,
            measured.without_depth(),
        ),
        Step(
            "overlap along the window",
            "neighbouring tokens share experts: measured over uniform by window, Qwen3.6-35B-A3B",
            true,
            measured,
        ),
    ]


def frame() -> pl.DataFrame:
    """One row per step x context x batch, columns of ABLATION."""
    return pl.DataFrame(list(_rows()), schema=ABLATION)


def _rows() -> Iterator[dict[str, Any]]:
    emitted = np.cumsum(ALPHA ** np.arange(max(LENGTHS) + 1))[list(LENGTHS)]
    before: np.ndarray | None = None
    for number, step in enumerate(steps()):
        surface = closed.grid(step.prices, step.overlap, BATCHES, CONTEXTS, LENGTHS)
        best, gains = surface.best(emitted)
        for c, context in enumerate(CONTEXTS):
            runs = estimate.gutters(np.asarray(BATCHES), best[:, c])
            for b, batch in enumerate(BATCHES):
                yield {
                    "step": number,
                    "name": step.name,
                    "change": step.change,
                    "context_tokens": context,
                    "batch": batch,
                    "best_draft_length": LENGTHS[best[b, c]],
                    "speedup": gains[b, c],
                    "speedup_change": None if before is None else gains[b, c] - before[b, c],
                    "step_seconds": surface.base[b, c, 0],
                    "in_gutter": any(low <= batch <= high and kind == "gutter" for low, high, kind in runs),
                }
        before = gains
