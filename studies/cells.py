"""What worlds say of each cell of batch x context x draft length: one form for surfaces and walks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from montecarlo import estimate, exact
from montecarlo.roofline import Floats
from studies.columns import GRID
from studies.scenario import Built


@dataclass(frozen=True)
class Cells:
    """A grid of [batches, contexts, lengths], as `method` (surface or walk) found it; NaN where it cannot be filled.

    undrafted [worlds, batches, contexts], drafted [worlds, batches, contexts, lengths]: seconds in which a slot emits
    as many tokens in both. tokens (per step), distinct (experts per layer) [batches, lengths], each with its Monte
    Carlo error; step, draft [batches, contexts, lengths]: mean seconds of a step, and of its drafting. spread [2,
    batches, contexts, lengths]: 5th and 95th percentile of the speedup over the batches inside worlds. emitted [worlds,
    batches]: tokens of those seconds, in any unit. resampled: seconds as the first two [replicates, worlds, ...] of
    traces resampled by request, None without a trace. ideal [batches, contexts, lengths]: speedup at rooflines in the
    same worlds, where prices are drawn; else None. terms, by name [batches, contexts, 1 + lengths above 0]: mean
    seconds of an undrafted step, then of each verify; they sum to step - draft.
    """

    method: str
    undrafted: Floats
    drafted: Floats
    tokens: Floats
    tokens_error: Floats
    distinct: Floats
    distinct_error: Floats
    step: Floats
    draft: Floats
    spread: Floats
    emitted: Floats
    resampled: tuple[Floats, Floats] | None
    ideal: Floats | None
    terms: dict[str, Floats]

    @property
    def by_world(self) -> Floats:
        """Speedup of each world [worlds, batches, contexts, lengths]."""
        return np.asarray(self.undrafted[..., None] / self.drafted)

    @property
    def trace_error(self) -> Floats | None:
        """Standard deviation of the speedup between traces resampled by request [batches, contexts, lengths]."""
        if self.resampled is None:
            return None
        found = [
            estimate.speedup(np.ones(1), undrafted[..., None], drafted)
            for undrafted, drafted in zip(*self.resampled, strict=True)
        ]
        values, errors = (np.stack(parts) for parts in zip(*found, strict=True))
        return estimate.between_replicates(values, errors)

    def allowed(self, fits: np.ndarray | None) -> np.ndarray:
        """Cells that fit in memory, of batches that could be filled at every length [batches, contexts, lengths]."""
        filled = np.expand_dims(np.all(np.isfinite(self.drafted), axis=(0, -1)), -1)
        return np.broadcast_to(filled if fits is None else filled & fits, self.drafted.shape[1:])


def in_memory(built: Built) -> np.ndarray | None:
    """Whether each batch x context x length fits; None where prices check no memory."""
    shape = (len(built.batches), len(built.contexts), len(built.lengths))
    found = built.prices.fits(
        np.asarray(built.batches)[:, None, None],
        np.asarray(built.lengths)[None, None, :],
        np.asarray(built.contexts)[None, :, None],
    )
    return None if found is None else np.broadcast_to(found, shape)


def grid(built: Built, cells: Cells) -> pl.DataFrame:
    """The rows of results.parquet, one per cell; those that do not fit or could not be filled have null prices."""
    fits = in_memory(built)
    allowed = cells.allowed(fits)
    value, error = estimate.speedup(np.ones(1), cells.undrafted[..., None], cells.drafted)
    filled, by_world, worlds = np.all(np.isfinite(cells.drafted), axis=(0, 2, 3)), cells.by_world, len(cells.drafted)
    trace_error = cells.trace_error
    rows = []
    for b, batch in enumerate(built.batches):
        for c, context in enumerate(built.contexts):
            winners = _winners(by_world[:, b, c], allowed[b, c])
            for i, length in enumerate(built.lengths):
                row: dict[str, Any] = built.labels | {
                    "method": cells.method,
                    "batch": batch,
                    "context_tokens": context,
                    "draft_length": length,
                    "worlds": worlds,
                    "fits": None if fits is None else bool(fits[b, c, i]),
                    "extrapolated": built.acceptance.known is not None and length > built.acceptance.known,
                }
                if filled[b]:
                    row |= {"tokens_per_step": cells.tokens[b, i], "tokens_per_step_se": cells.tokens_error[b, i]}
                if built.experts:
                    row["distinct_experts_uniform"] = float(
                        exact.mean_distinct(built.experts, built.top_k, batch * (length + 1))
                    )
                if built.experts and filled[b]:
                    row |= {
                        "distinct_experts": cells.distinct[b, i],
                        "distinct_experts_se": cells.distinct_error[b, i],
                    }
                if allowed[b, c, i]:
                    step, tokens = cells.step[b, c, i], cells.tokens[b, i]
                    low, middle, high = np.quantile(by_world[:, b, c, i], (0.05, 0.5, 0.95))
                    row |= {
                        "step_seconds": step,
                        "draft_seconds": cells.draft[b, c, i],
                        "speedup": value[b, c, i],
                        "speedup_se": error[b, c, i],
                        "speedup_trace_se": None if trace_error is None else trace_error[b, c, i],
                        "speedup_p05": low,
                        "speedup_p50": middle,
                        "speedup_p95": high,
                        "speedup_batch_p05": cells.spread[0, b, c, i],
                        "speedup_batch_p95": cells.spread[1, b, c, i],
                        "p_loss": float(np.mean(by_world[:, b, c, i] < 1)),
                        "p_best": winners[i],
                        "tokens_per_second_user": tokens / step,
                        "tokens_per_second_device": batch * tokens / step,
                    }
                rows.append(row)
    return pl.DataFrame(rows, schema=GRID)


def _winners(by_world: Floats, allowed: np.ndarray) -> Floats:
    """Share of the worlds in which each length is the best of those allowed [lengths]."""
    if not allowed.any():
        return np.zeros(len(allowed))
    best = np.argmax(np.where(allowed, by_world, -np.inf), axis=1)
    return np.asarray(np.bincount(best, minlength=len(allowed)) / len(by_world))
