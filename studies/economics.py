"""economics: the post's charts in closed form, for its own model or any other, and what of the post holds.

Three charts (intensity of the experts, ledger of marginal cost, map of the best length), the table of attention
intensities, every checkable claim (studies/claims.py) and the way from the post's prices to the true model
(studies/ablation.py).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from montecarlo import closed, estimate
from montecarlo.compressed import MLA, Compressed
from montecarlo.cost import Ideal
from montecarlo.hardware import BYTES
from montecarlo.linear import GatedDeltaNet
from montecarlo.post import Post
from montecarlo.roofline import Floats, Work, intensity
from montecarlo.target import AttentionKind
from studies import ablation, claims, exact, explorer, explorer_closed
from studies.columns import ATTENTION, ECONOMICS_BEST, ECONOMICS_GRID, GUTTERS, INTENSITY, LEDGER, MAP
from studies.config import Study
from studies.exact import Exact, largest_batch
from studies.results import Results
from studies.tasks import Arrays, Task

ABOUT = "the post's charts in closed form, each of its claims checked, and its prices turned into the true model's"
# The post's batches: 1 to 30,000, evenly by ratio, and those of its tables.
TABLED = (*(2**power for power in range(15)), 43, 10_000, 12_000)
BATCHES = tuple(sorted({*np.unique(np.round(np.geomspace(1, 30_000, 301))).astype(int).tolist(), *TABLED}))
ALPHAS = tuple(percent / 100 for percent in range(1, 100))
TOKENS = tuple(sorted({*range(1, 512), *np.unique(np.round(np.geomspace(512, 12_000, 200))).astype(int).tolist()}))
CONTEXTS, QUERIES = (512, 1024, 8192, 16_384, 131_072, 1_048_576), (1, 2, 3, 4, 8)  # of the table of attention
NEAR = 0.99  # a recommended length reaches this share of the best speedup


def prepared(study_json: str, index: int) -> Exact:
    """Scenario `index`, built once."""
    return exact.prepared("economics", study_json, index)


def tasks(study: Study, worlds: int) -> list[Task]:
    """None: nothing is sampled."""
    return []


def largest_error(results: Results) -> float:
    """None: all is exact."""
    return 0.0


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios."""
    plain = study.model_dump_json()
    parts: dict[str, list[pl.DataFrame]] = {}
    notes: dict[str, list[str]] = {}
    explored = []
    for index in range(len(study.scenario)):
        built = prepared(plain, index)
        batches = built.batches or ladder(built)
        for name, frame in _scenario(built, batches).items():
            parts.setdefault(name, []).append(frame)
        notes[built.labels["scenario"]] = list(built.notes)
        explored.append(explorer_closed.scenario(built))
    frames = {name: pl.concat(frames) for name, frames in parts.items()}
    frames["claims"] = claims.frame()
    frames["ablation"] = ablation.frame()
    return Results("economics", frames, notes, meta, explorer.document("economics", explored))


def ladder(built: Exact) -> tuple[int, ...]:
    """The post's batches, and the largest that fits at each context without drafts and with each length to 8."""
    if built.fits((1,)) is None:
        return BATCHES
    shallow = [length for length in built.lengths if length <= 8]
    limits = {largest_batch(built.prices, context, length) for context in built.contexts for length in shallow}
    return tuple(sorted({*BATCHES, *limits} - {0}))


def _scenario(built: Exact, batches: tuple[int, ...]) -> dict[str, pl.DataFrame]:
    surface, fits = built.grid(batches), built.fits(batches)
    best = _best(built, batches, surface, fits)
    mapped = _map(built, batches, surface, fits)
    return {
        "results": _grid(built, batches, surface, fits),
        "best": best,
        "map": mapped,
        "gutters": _all_gutters(built, best, mapped),
        "ledger": _ledger(built, batches, fits),
        "intensity": _intensity(built),
        "attention": pl.DataFrame(list(_attention(built)), schema=ATTENTION),
    }


def _labelled(built: Exact, columns: dict[str, Any], schema: dict[str, Any]) -> pl.DataFrame:
    """Columns of one scenario as a frame of `schema`, its labels where they are missing."""
    held = pl.DataFrame({name: np.ravel(values) for name, values in columns.items()}, nan_to_null=True)
    missing = [pl.lit(built.labels[name]).alias(name) for name in schema if name not in columns]
    return held.with_columns(missing).select([pl.col(name).cast(dtype) for name, dtype in schema.items()])


def _grid(built: Exact, batches: tuple[int, ...], surface: closed.Grid, fits: np.ndarray | None) -> pl.DataFrame:
    shape = surface.verify.shape
    batch, context, length = np.meshgrid(batches, built.contexts, built.lengths, indexing="ij")
    tokens = np.broadcast_to(built.tokens_per_step(), shape)
    open_ = np.ones(shape, bool) if fits is None else fits
    step = np.where(open_, surface.step, np.nan)
    known = built.acceptance.known
    distinct = np.zeros(shape) if built.overlap is None else built.overlap.distinct(batch, length + 1)
    columns = {
        "batch": batch,
        "context_tokens": context,
        "draft_length": length,
        "extrapolated": np.zeros(shape, bool) if known is None else length > known,
        "tokens_per_step": tokens,
        "step_seconds": step,
        "draft_seconds": np.where(open_, surface.draft, np.nan),
        "speedup": np.where(open_, surface.speedup(built.tokens_per_step()), np.nan),
        "distinct_experts": distinct if built.experts else np.full(shape, np.nan),
        "tokens_per_second_user": tokens / step,
        "tokens_per_second_device": batch * tokens / step,
    }
    found = _labelled(built, columns, {name: kind for name, kind in ECONOMICS_GRID.items() if name != "fits"})
    marks = pl.Series("fits", [None] * found.height if fits is None else np.ravel(fits).tolist(), pl.Boolean)
    return found.with_columns(marks).select(list(ECONOMICS_GRID))


def _best(built: Exact, batches: tuple[int, ...], surface: closed.Grid, fits: np.ndarray | None) -> pl.DataFrame:
    lengths = np.asarray(built.lengths)
    gains = surface.speedup(built.tokens_per_step())
    gains = gains if fits is None else np.where(fits, gains, np.nan)
    some = ~np.all(np.isnan(gains), axis=-1)
    filled = np.where(np.isnan(gains), -np.inf, gains)
    best = filled.max(axis=-1)
    near = np.argmax(filled >= NEAR * best[..., None], axis=-1)
    drafted = np.where(lengths > 0, filled, -np.inf).max(axis=-1)
    batch, context = np.meshgrid(batches, built.contexts, indexing="ij")
    columns = {
        "batch": batch,
        "context_tokens": context,
        "best_draft_length": lengths[np.argmax(filled, axis=-1)],
        "recommended": lengths[near],
        "speedup": best,
        "drafting_speedup": np.where(np.isfinite(drafted), drafted, np.nan),
        **_at_rooflines(built, batches, filled, best),
    }
    return _labelled(built, columns, ECONOMICS_BEST).filter(pl.Series(np.ravel(some)))


def _at_rooflines(built: Exact, batches: tuple[int, ...], gains: Floats, best: Floats) -> dict[str, Floats]:
    """The length that rooflines choose, what they promise, and what it loses, given the `gains` [..., lengths]."""
    if built.rooflines is built.prices:
        return {name: np.full(best.shape, np.nan) for name in ("ideal_draft_length", "ideal_speedup", "regret_ideal")}
    rooflines = closed.grid(built.rooflines, built.overlap, batches, built.contexts, built.lengths, built.terms)
    promised = np.where(np.isfinite(gains), rooflines.speedup(built.tokens_per_step()), -np.inf)
    chosen = np.argmax(promised, axis=-1)[..., None]
    with np.errstate(invalid="ignore"):  # nothing fits: no row is kept
        lost = 1 - np.take_along_axis(gains, chosen, axis=-1)[..., 0] / best
    return {
        "ideal_draft_length": np.asarray(built.lengths, np.float64)[chosen[..., 0]],
        "ideal_speedup": promised.max(axis=-1),
        "regret_ideal": lost,
    }


def _map(built: Exact, batches: tuple[int, ...], surface: closed.Grid, fits: np.ndarray | None) -> pl.DataFrame:
    lengths = np.asarray(built.lengths)
    alphas = np.asarray(ALPHAS)
    emitted = np.cumsum(alphas[:, None] ** np.arange(lengths.max() + 1), axis=1)[:, lengths]
    found, gains = surface.best(emitted, fits)
    alpha, batch, context = np.meshgrid(alphas, batches, built.contexts, indexing="ij")
    shut = ~np.isfinite(gains)
    columns = {
        "context_tokens": context,
        "alpha": alpha,
        "batch": batch,
        "best_draft_length": np.where(shut, np.nan, lengths[found]),
        "speedup": np.where(shut, np.nan, gains),
    }
    return _labelled(built, columns, MAP)


def _all_gutters(built: Exact, best: pl.DataFrame, mapped: pl.DataFrame) -> pl.DataFrame:
    """Those of the scenario's own acceptance, then those of every alpha of the map."""
    own = best.with_columns(acceptance=pl.lit(built.labels["acceptance"]))
    every = mapped.drop_nulls("best_draft_length").with_columns(acceptance=pl.format("alpha {}", "alpha"))
    rows = []
    for frame in (own, every):
        for (context, name), line in frame.group_by("context_tokens", "acceptance", maintain_order=True):
            ordered = line.sort("batch")
            runs = estimate.gutters(ordered["batch"].to_numpy(), ordered["best_draft_length"].to_numpy())
            rows += [(built.labels["scenario"], context, name, *run) for run in runs]
    return pl.DataFrame(rows, schema=GUTTERS, orient="row")


def _ledger(built: Exact, batches: tuple[int, ...], fits: np.ndarray | None) -> pl.DataFrame:
    batch, context = np.meshgrid(batches, built.contexts, indexing="ij")
    found = closed.ledger(built.prices, built.overlap, batch.astype(float), context.astype(float), built.terms)
    total = np.sum([term.ratio * term.share for term in found.values()], axis=0)
    rows = {term: (marginal.ratio, marginal.share) for term, marginal in found.items()}
    rows["total"] = (total, np.ones_like(total))
    shut = None if fits is None else ~fits[..., 0]
    frames = []
    for term, (ratio, share) in rows.items():
        columns = {
            "context_tokens": context,
            "batch": batch,
            "term": np.full(batch.shape, term),
            "ratio": np.broadcast_to(ratio, batch.shape),
            "share": np.broadcast_to(share, batch.shape),
            "marginal_cost": np.broadcast_to(ratio * share, batch.shape),
        }
        frame = _labelled(built, columns, LEDGER)
        frames.append(frame if shut is None else frame.filter(pl.Series(~np.ravel(shut))))
    return pl.concat(frames)


def _intensity(built: Exact) -> pl.DataFrame:
    """FLOP per byte of the experts of one layer, and of a dense layer of all their weights."""
    if built.overlap is None:
        return pl.DataFrame(schema=INTENSITY)
    tokens = np.asarray(TOKENS, np.float64)
    distinct = built.overlap.distinct(tokens, 1)
    kernel, one = built.rooflines.experts(tokens, distinct), built.rooflines.experts(1.0, built.experts)
    assert kernel is not None
    assert one is not None
    # every token through every expert: as many FLOP per token as a layer that reads all weights for one token
    every = _dense_flops(built.rooflines)
    columns = {
        "tokens": tokens,
        "moe": intensity(kernel.work),
        "dense": intensity(Work(tokens * every, one.work.bytes)),
        "ridge": np.full(tokens.shape, kernel.peak / built.prices.bandwidth),
        "distinct_experts": distinct,
    }
    return _labelled(built, columns, INTENSITY)


def _dense_flops(prices: Ideal | Post) -> float:
    """FLOP of one token through all experts of a layer."""
    if isinstance(prices, Post):
        return 2.0 * (prices.constants.experts + prices.constants.shared) * prices.constants.expert_weights
    moe, hidden = prices.target.moe, prices.target.hidden
    assert moe is not None
    return 2.0 * (moe.experts * moe.expert(hidden) + moe.shared(hidden))


def kind_name(kind: AttentionKind) -> str:
    """What the field calls a kind of attention layer."""
    if isinstance(kind, MLA):
        return f"MLA, {kind.form} form"
    if isinstance(kind, Compressed):
        return "CSA" if kind.index_top_k else "HCA" if kind.ratio else f"window of {kind.window}"
    if isinstance(kind, GatedDeltaNet):
        return f"gated delta net, {kind.rollback}"
    named = "MHA" if kind.heads == kind.kv_heads else f"GQA {kind.heads}/{kind.kv_heads}"
    return f"{named}, window of {kind.window}" if kind.window else named


POST_MLA = MLA.of(heads=64, kv_rank=512, rope=64, nope=128, value=128, q_rank=1024)


def _attention(built: Exact) -> Iterator[dict[str, Any]]:
    """Every kind of attention layer x context x window: work per sequence, intensity, and which side binds."""
    prices = built.rooflines
    if isinstance(prices, Post):
        kinds: tuple[tuple[int, AttentionKind], ...] = ((prices.constants.layers, POST_MLA),)
        per_element, ridges = 1.0, {"bf16": prices.constants.ridge_bf16, "fp8": prices.constants.ridge_fp8}
    else:
        kinds, per_element = prices.target.attention, BYTES[prices.target.kv_format]
        ridges = {stored: prices.hardware.peak(stored) / prices.bandwidth for stored in ("bf16", "fp8")}
    for layers, kind in kinds:
        for context in CONTEXTS:
            for queries in QUERIES:
                for part, (work, arithmetic) in enumerate(kind.kernels(1, queries, context, per_element)):
                    ratio = float(intensity(work))
                    yield {
                        "scenario": built.labels["scenario"],
                        "layers": layers,
                        "kind": kind_name(kind),
                        "part": "indexer" if part else "core",
                        "context_tokens": context,
                        "queries": queries,
                        "flops": float(work.flops),  # type: ignore[arg-type]
                        "bytes": float(work.bytes),  # type: ignore[arg-type]
                        "intensity": ratio,
                        "ridge": ridges[arithmetic],
                        "compute_bound": ratio >= ridges[arithmetic],
                    }
