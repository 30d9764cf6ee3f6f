"""optimal-k: how far ahead to draft, by batch and context, with the odds.

Speedup, its errors and its spread for every cell of batch x context x draft length, from a surface of random
windows (montecarlo/surface.py), and the best length of every batch x context, chosen and valued honestly.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from montecarlo import coverage, estimate, exact
from montecarlo.keys import Stream, generator
from studies.columns import BEST, CHANGES, GRID
from studies.config import Study
from studies.results import Results
from studies.scenario import Built
from studies.tasks import Arrays, Task, bootstrap_block, prepared, surface_block

ABOUT = "how far ahead to draft, by batch and context, with the odds"
BLOCK = 16  # worlds a task
REPLICATES = 40  # bootstrap replicates of a trace
REPLICATE_BLOCK = 4
SPLITS = 64  # random halves for the noise of the best length


def tasks(study: Study, worlds: int) -> list[Task]:
    """All blocks of `worlds` worlds of every scenario, and the bootstrap of a trace."""
    plain, listed = study.model_dump_json(), []
    for index in range(len(study.scenario)):
        listed += [
            Task(
                f"scenario{index}-worlds{first}",
                surface_block,
                (plain, index, first, min(BLOCK, worlds - first)),
            )
            for first in range(0, worlds, BLOCK)
        ]
        if prepared(plain, index).recording is not None:
            listed += [
                Task(
                    f"scenario{index}-bootstrap{first}",
                    bootstrap_block,
                    (plain, index, first, REPLICATE_BLOCK),
                )
                for first in range(0, REPLICATES, REPLICATE_BLOCK)
            ]
    return listed


@dataclass(frozen=True)
class _Surface:
    """Step seconds of one scenario: base (k = 0), step and draft [worlds, batches, contexts, lengths]."""

    step: np.ndarray
    draft: np.ndarray
    base: np.ndarray


def _seconds(built: Built, moe: np.ndarray) -> _Surface:
    """Add the kernels without chance, and drafting, to MoE seconds [..., batches, deepest + 1]."""
    batch = np.asarray(built.batches, np.float64)[:, None, None]
    context = np.asarray(built.contexts, np.float64)[None, :, None]
    depth = np.arange(built.deepest + 1, dtype=np.float64)[None, None, :]
    verify = built.prices.other_seconds(batch, depth, context) + moe[..., :, None, :]
    base = verify[..., :1]
    draft = np.broadcast_to(built.prices.draft_seconds(batch, depth, context, base), verify.shape)
    lengths = list(built.lengths)
    return _Surface((verify + draft)[..., lengths], draft[..., lengths], base[..., 0])


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios from the arrays of all tasks, by task name."""
    plain = study.model_dump_json()
    grids, bests, changes, notes = [], [], [], {}
    for index in range(len(study.scenario)):
        built = prepared(plain, index)
        blocks = [done[f"scenario{index}-worlds{first}"] for first in range(0, worlds, BLOCK)]
        resampled = [done.get(f"scenario{index}-bootstrap{first}") for first in range(0, REPLICATES, REPLICATE_BLOCK)]
        grid, best, change = _scenario(
            built,
            np.concatenate([block["moe_seconds"] for block in blocks]),
            np.concatenate([block["distinct"] for block in blocks]),
            np.concatenate([block["moe_seconds"] for block in resampled if block]) if built.recording else None,
            study.seed,
        )
        grids.append(grid)
        bests.append(best)
        changes.append(change)
        notes[built.labels["scenario"]] = list(built.notes)
    frames = {"results": pl.concat(grids), "best": pl.concat(bests), "changes": pl.concat(changes)}
    return Results("optimal-k", frames, notes, meta)


def _scenario(
    built: Built, moe: np.ndarray, distinct: np.ndarray, resampled: np.ndarray | None, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    worlds, slices = len(moe), coverage.group_slices(built.requests, built.batches)
    world_mean = np.stack([estimate.mean(moe[:, groups], axis=1) for groups in slices], axis=1)
    surface = _seconds(built, world_mean)
    tokens = built.acceptance.tokens_per_step(np.asarray(built.lengths))
    value, error = estimate.speedup(tokens, surface.base[..., None], surface.step)
    by_world = tokens * surface.base[..., None] / surface.step
    trace_error = _trace_error(built, resampled, tokens) if resampled is not None else None
    touched = [
        estimate.mean(distinct[:, groups], axis=1) / max(built.layers, 1) for groups in slices
    ]  # [worlds, depth]
    fits = _fits(built)
    rows = []
    for b, batch in enumerate(built.batches):
        spread = _batch_spread(built, moe[:, slices[b]], b, tokens)
        for c, context in enumerate(built.contexts):
            in_memory = True if fits is None else fits[b, c]
            winners = _winners(by_world[:, b, c], np.broadcast_to(in_memory, len(tokens)))
            for i, length in enumerate(built.lengths):
                row = built.labels | {
                    "batch": batch,
                    "context_tokens": context,
                    "draft_length": length,
                    "worlds": worlds,
                    "fits": None if fits is None else bool(fits[b, c, i]),
                    "extrapolated": built.acceptance.known is not None and length > built.acceptance.known,
                    "tokens_per_step": tokens[i],
                }
                if built.experts:
                    deep = touched[b][:, length]
                    row |= {
                        "distinct_experts": deep.mean(),
                        "distinct_experts_se": deep.std(ddof=1) / np.sqrt(worlds),
                        "distinct_experts_uniform": float(
                            exact.mean_distinct(built.experts, built.top_k, batch * (length + 1))
                        ),
                    }
                if fits is None or fits[b, c, i]:
                    step = surface.step[:, b, c, i].mean()
                    low, middle, high = np.quantile(by_world[:, b, c, i], (0.05, 0.5, 0.95))
                    row |= {
                        "step_seconds": step,
                        "draft_seconds": surface.draft[:, b, c, i].mean(),
                        "speedup": value[b, c, i],
                        "speedup_se": error[b, c, i],
                        "speedup_trace_se": None if trace_error is None else trace_error[b, c, i],
                        "speedup_p05": low,
                        "speedup_p50": middle,
                        "speedup_p95": high,
                        "speedup_batch_p05": spread[0, c, i],
                        "speedup_batch_p95": spread[1, c, i],
                        "p_loss": float(np.mean(by_world[:, b, c, i] < 1)),
                        "p_best": winners[i],
                        "tokens_per_second_user": tokens[i] / step,
                        "tokens_per_second_device": batch * tokens[i] / step,
                    }
                rows.append(row)
    grid = pl.DataFrame(rows, schema=GRID)
    best = pl.DataFrame(list(_bests(built, surface, tokens, fits, grid, seed)), schema=BEST)
    return grid, best, _changes(built, best)


def _fits(built: Built) -> np.ndarray | None:
    """Whether each batch x context x length fits; None where prices check no memory."""
    shape = (len(built.batches), len(built.contexts), len(built.lengths))
    found = built.prices.fits(
        np.asarray(built.batches)[:, None, None],
        np.asarray(built.lengths)[None, None, :],
        np.asarray(built.contexts)[None, :, None],
    )
    return None if found is None else np.broadcast_to(found, shape)


def _winners(by_world: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Share of the worlds in which each length is the best of those allowed [lengths]."""
    if not allowed.any():
        return np.zeros(len(allowed))
    best = np.argmax(np.where(allowed, by_world, -np.inf), axis=1)
    return np.bincount(best, minlength=len(allowed)) / len(by_world)


def _batch_spread(built: Built, moe: np.ndarray, b: int, tokens: np.ndarray) -> np.ndarray:
    """5th and 95th percentile of the speedup over the batches of all worlds [2, contexts, lengths].

    A batch's own speedup: its requests and their windows are given, its runs are integrated out.
    """
    one = Built(**{**built.__dict__, "batches": (built.batches[b],)})
    every = _seconds(one, moe.reshape(-1, 1, moe.shape[-1]))
    return np.asarray(np.quantile(tokens * every.base[:, 0, :, None] / every.step[:, 0], (0.05, 0.95), axis=0))


def _trace_error(built: Built, resampled: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Standard deviation of the speedup between traces resampled by request [batches, contexts, lengths]."""
    values, errors = [], []
    for replicate in resampled:
        surface = _seconds(built, replicate)
        value, error = estimate.speedup(tokens, surface.base[..., None], surface.step)
        values.append(value)
        errors.append(error)
    return estimate.between_replicates(np.asarray(values), np.asarray(errors))


def _uniform_iid_choice(built: Built, lengths: np.ndarray, b: int, c: int) -> int:
    """Index of the length that uniform routing and i.i.d. acceptance alpha = S(1) would choose (exact)."""
    batch, context = built.batches[b], built.contexts[c]
    emitted = np.cumsum(built.acceptance.survival(1)[0] ** np.arange(lengths.max() + 1))[lengths]
    tokens = batch * (lengths + 1)
    moe = np.zeros(len(lengths))
    first = np.zeros(1)
    if built.experts:
        enough = exact.saturation(built.experts, built.top_k)  # beyond it the law no longer changes
        pmf = exact.distinct_pmf(built.experts, built.top_k, enough)
        every = np.append(tokens, batch)
        seconds = built.prices.moe_seconds(every[:, None], np.arange(built.experts + 1)[None, :])
        expected = built.layers * np.sum(pmf[np.minimum(every, enough)] * seconds, axis=1)
        moe, first = expected[:-1], expected[-1:]
    base = built.prices.other_seconds(batch, 0, context) + first
    verify = built.prices.other_seconds(batch, lengths, context) + moe
    return int(np.argmax(emitted / (verify + built.prices.draft_seconds(batch, lengths, context, base))))


def _bests(
    built: Built,
    surface: _Surface,
    tokens: np.ndarray,
    fits: np.ndarray | None,
    grid: pl.DataFrame,
    seed: int,
) -> Iterator[dict[str, Any]]:
    worlds = len(surface.step)
    halves = np.stack(
        [np.arange(worlds) % 2 == 0]
        + [generator(seed, split, Stream.SPLIT).permutation(worlds) < worlds // 2 for split in range(SPLITS)]
    )
    cells = grid.partition_by("batch", "context_tokens", as_dict=True)
    for b, batch in enumerate(built.batches):
        for c, context in enumerate(built.contexts):
            allowed = np.arange(len(tokens)) if fits is None else np.flatnonzero(fits[b, c])
            if not allowed.size:
                continue
            lengths = np.asarray(built.lengths)[allowed]
            base, step, emitted = surface.base[:, b, c], surface.step[:, b, c][:, allowed], tokens[allowed]
            found = estimate.best_length(lengths, emitted, base, step, halves)
            rows = cells[(batch, context)].to_dicts()
            chosen, advised = rows[int(allowed[found.best])], rows[int(allowed[found.recommended])]
            naive = _uniform_iid_choice(built, lengths, b, c)
            naive_value = estimate.honest_value(emitted, base, step, halves[0], fixed=naive)
            drafted = [rows[int(i)]["speedup"] for i in allowed if built.lengths[int(i)] > 0]
            yield built.labels | {
                "batch": batch,
                "context_tokens": context,
                "worlds": worlds,
                "best_draft_length": int(lengths[found.best]),
                "recommended": int(lengths[found.recommended]),
                "recommended_speedup": advised["speedup"],
                "recommended_speedup_se": advised["speedup_se"],
                "recommended_p_loss": advised["p_loss"],
                "near_best": [int(lengths[i]) for i in found.near],
                "speedup": found.value,
                "speedup_se": found.value_error,
                "speedup_trace_se": chosen["speedup_trace_se"],
                "p_best": found.share,
                "p_loss": chosen["p_loss"],
                "drafting_speedup": max(drafted) if drafted else None,
                "split_half_noise": found.noise,
                "uniform_iid_draft_length": int(lengths[naive]),
                "regret_uniform_iid": 1 - naive_value / found.value,
            }


def _changes(built: Built, best: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for context in built.contexts:
        line = best.filter(pl.col("context_tokens") == context, pl.col("drafting_speedup").is_not_null()).sort("batch")
        found = estimate.sign_changes(line["batch"].to_numpy(), line["drafting_speedup"].to_numpy())
        rows += [
            {
                "scenario": built.labels["scenario"],
                "context_tokens": context,
                "batch_below": below,
                "batch_above": above,
                "pays_above": pays,
            }
            for below, above, pays in found
        ]
    return pl.DataFrame(rows, schema=CHANGES)


def largest_error(results: Results) -> float:
    """Largest relative Monte Carlo error of any speedup of the grid, in percent."""
    relative = (results["results"]["speedup_se"] / results["results"]["speedup"]).drop_nulls().to_numpy()
    return float(100 * relative.max(initial=0.0))
