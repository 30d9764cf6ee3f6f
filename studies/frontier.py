"""frontier: what a user gets against what the device gives, with and without drafting, up to the memory limit.

    tokens/s of one user = N / step          tokens/s of the device = batch x N / step
    dollars per million tokens = dollars per device hour / 3600 / (tokens/s of the device) x 1e6

A point is on the frontier where no other batch or draft length gives more to both. In closed form, no sampling.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from montecarlo import closed
from montecarlo.cost import Ideal
from montecarlo.errors import InputError
from montecarlo.memory import needed_bytes
from studies import exact
from studies.columns import FRONTIER, OPERATING, TRADES
from studies.config import Study
from studies.exact import Exact, largest_batch
from studies.results import Results
from studies.tasks import Arrays, Task

ABOUT = "tokens/s per user against tokens/s per device, with and without drafting, up to the memory limit"
SECOND, MILLION = 3600.0, 1e6


def prepared(study_json: str, index: int) -> Exact:
    """Scenario `index`, built once; raises InputError where a limit cannot be known."""
    built = exact.prepared("frontier", study_json, index)
    if not isinstance(built.prices, Ideal):
        raise InputError("prices = post knows no memory, so the frontier has no end; use prices = ideal")
    if 0 not in built.lengths:
        raise InputError("frontier compares with no drafting; give draft_length a 0")
    return built


def tasks(study: Study, worlds: int) -> list[Task]:
    """None: nothing is sampled."""
    return []


def largest_error(results: Results) -> float:
    """None: all is exact."""
    return 0.0


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios."""
    plain = study.model_dump_json()
    parts: dict[str, list[pl.DataFrame]] = {"results": [], "operating": [], "trades": []}
    notes: dict[str, list[str]] = {}
    for index in range(len(study.scenario)):
        built = prepared(plain, index)
        points = _points(built)
        parts["results"].append(points)
        parts["operating"].append(pl.DataFrame(list(_operating(built, points)), schema=OPERATING))
        parts["trades"].append(pl.DataFrame(list(_trades(built, points)), schema=TRADES))
        notes[built.labels["scenario"]] = list(built.notes)
    return Results("frontier", {name: pl.concat(frames) for name, frames in parts.items()}, notes, meta)


def ladder(built: Exact, context: int) -> tuple[int, ...]:
    """Batches to price: those asked for, or a ladder of root 2 and the largest that fits at each draft length."""
    limits = {largest_batch(built.prices, context, length) for length in built.lengths}
    if built.batches is not None:
        return tuple(batch for batch in built.batches if batch <= max(limits))
    steps = {round(2 ** (power / 2)) for power in range(40)}
    return tuple(sorted(batch for batch in steps | limits if 1 <= batch <= max(limits)))


def _points(built: Exact) -> pl.DataFrame:
    assert isinstance(built.prices, Ideal)
    prices, lengths, emitted = built.prices, np.asarray(built.lengths), built.tokens_per_step()
    rows = []
    for context in built.contexts:
        batches = ladder(built, context)
        if not batches:
            continue
        surface = closed.grid(prices, built.overlap, batches, [context], lengths, built.terms)
        gains, step = surface.speedup(emitted)[:, 0], surface.step[:, 0]
        batch = np.asarray(batches)[:, None]
        held = needed_bytes(prices.target, prices.drafter, batch, context, lengths)
        fits = held <= prices.hardware.memory
        best = lengths[np.argmax(np.where(fits, gains, -np.inf), axis=1)]
        for b, size in enumerate(batches):
            for i, length in enumerate(lengths):
                if fits[b, i]:
                    user = emitted[i] / step[b, i]
                    rows.append(
                        built.labels
                        | {
                            "batch": size,
                            "context_tokens": context,
                            "draft_length": int(length),
                            "best_draft_length": int(best[b]),
                            "tokens_per_step": emitted[i],
                            "step_seconds": step[b, i],
                            "speedup": gains[b, i],
                            "memory_bytes": held[b, i],
                            "tokens_per_second_user": user,
                            "tokens_per_second_device": size * user,
                            "dollars_per_million_tokens": _dollars(built, size * user),
                        }
                    )
    frame = pl.DataFrame(rows, schema={name: kind for name, kind in FRONTIER.items() if name != "on_frontier"})
    marks: list[bool] = []
    for context in frame["context_tokens"].unique(maintain_order=True):
        line = frame.filter(pl.col("context_tokens") == context)
        marks += undominated(
            line["tokens_per_second_user"].to_numpy(), line["tokens_per_second_device"].to_numpy()
        ).tolist()
    return frame.with_columns(pl.Series("on_frontier", marks, pl.Boolean)).select(list(FRONTIER))


def undominated(user: np.ndarray, device: np.ndarray) -> np.ndarray:
    """Points that no other beats in one of the two without losing in the other; of equal points, all."""
    order = np.lexsort((-device, -user))
    kept = np.zeros(len(user), bool)
    highest, at = -np.inf, np.nan
    for i in order:
        if device[i] > highest or (device[i] == highest and user[i] == at):
            kept[i] = True
            highest, at = device[i], user[i]
    return kept


def _dollars(built: Exact, tokens_per_second: float) -> float | None:
    hourly = built.given.dollars_per_device_hour
    return None if hourly is None else hourly / SECOND / tokens_per_second * MILLION


def _operating(built: Exact, points: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The highest throughput, unbounded and under the objective, with lengths above 0 allowed or not."""
    objectives = [None] if built.given.seconds_per_token is None else [None, built.given.seconds_per_token]
    for context in built.contexts:
        here = points.filter(pl.col("context_tokens") == context)
        for objective in objectives:
            for drafting in (False, True):
                allowed = here if drafting else here.filter(pl.col("draft_length") == 0)
                if objective is not None:
                    allowed = allowed.filter(pl.col("tokens_per_second_user") >= 1 / objective)
                row: dict[str, Any] = {
                    "scenario": built.labels["scenario"],
                    "context_tokens": context,
                    "drafting": drafting,
                    "seconds_per_token": objective,
                }
                if allowed.height:
                    best = allowed.sort("tokens_per_second_device", descending=True, maintain_order=True).row(
                        0, named=True
                    )
                    row |= {name: best[name] for name in OPERATING if name in best}
                yield row


def _trades(built: Exact, points: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """At each batch: what the best draft length gains, and what twice the batch does."""
    for context in built.contexts:
        batches = points.filter(pl.col("context_tokens") == context)["batch"].unique().sort().to_list()
        if not batches:
            continue
        sizes = np.asarray(batches, np.float64)
        pair = [
            closed.grid(built.prices, built.overlap, size, [context], [0], built.terms).base[:, 0, 0]
            for size in (sizes, 2 * sizes)
        ]
        cells = {
            (row["batch"], row["draft_length"]): row
            for row in points.filter(pl.col("context_tokens") == context).iter_rows(named=True)
        }
        limit = largest_batch(built.prices, context)
        for i, batch in enumerate(batches):
            best = cells[batch, cells[batch, 0]["best_draft_length"]] if (batch, 0) in cells else None
            fits = 2 * batch <= limit
            yield {
                "scenario": built.labels["scenario"],
                "context_tokens": context,
                "batch": batch,
                "best_draft_length": None if best is None else best["draft_length"],
                "drafting_gain": None if best is None else best["speedup"],
                "doubling_gain": 2 * pair[0][i] / pair[1][i] if fits else None,
                "drafting_user_gain": None if best is None else best["speedup"],
                "doubling_user_gain": pair[0][i] / pair[1][i] if fits else None,
            }
