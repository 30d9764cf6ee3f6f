"""optimal-k: how far ahead to draft, by batch and context, with the odds.

Speedup, its errors and its spread for every cell of batch x context x draft length, from surfaces of random windows
(studies/surfaces.py) where they are exact and from walks (studies/walks.py) where they are not, and the best length of
every batch x context, chosen and valued honestly.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from montecarlo import difficulty, estimate, exact
from montecarlo.difficulty import Difficulty
from montecarlo.keys import Stream, generator
from studies import cells, explorer, explorer_sampled, serving, surfaces, walks
from studies.cells import Cells
from studies.columns import BEST, CHANGES
from studies.config import Study
from studies.results import Results
from studies.scenario import Built
from studies.tasks import Arrays, Task, prepared

ABOUT = "how far ahead to draft, by batch and context, with the odds"
SPLITS = 64  # random halves for the noise of the best length


def tasks(study: Study, worlds: int) -> list[Task]:
    """The tasks of every scenario: `worlds` worlds, and the bootstrap of a trace."""
    plain, listed = study.model_dump_json(), []
    for index in range(len(study.scenario)):
        method = walks if prepared(plain, index).walked else surfaces
        listed += method.tasks(plain, index, worlds)
    return listed


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios from the arrays of all tasks, by task name."""
    plain = study.model_dump_json()
    frames: dict[str, list[pl.DataFrame]] = {"results": [], "best": [], "changes": []}
    notes, explored = {}, []
    for index in range(len(study.scenario)):
        built = prepared(plain, index)
        found = simulated(study, index, worlds, done)
        grid = serving.columns(built, cells.grid(built, found))
        best = pl.DataFrame(list(_bests(built, found, grid, study.seed)), schema=BEST)
        for name, frame in {"results": grid, "best": best, "changes": _changes(built, best)}.items():
            frames[name].append(frame)
        notes[built.labels["scenario"]] = [*built.notes, *_left_out(grid)]
        explored.append(explorer_sampled.scenario(built, found, study.seed))
    joined = {name: pl.concat(parts) for name, parts in frames.items()}
    return Results("optimal-k", joined, notes, meta, explorer.document("optimal-k", explored))


def simulated(study: Study, index: int, worlds: int, done: Mapping[str, Arrays]) -> Cells:
    """What the worlds of scenario `index` say, from the arrays of its tasks."""
    plain = study.model_dump_json()
    built = prepared(plain, index)
    method = walks if built.walked else surfaces
    listed = [task.name for task in method.tasks(plain, index, worlds)]
    resampled = [done[name] for name in listed if "-bootstrap" in name]
    return method.cells(built, study.seed, [done[name] for name in listed if "-worlds" in name], resampled)


def _left_out(grid: pl.DataFrame) -> list[str]:
    """A sentence on the batches that fit in memory and that the requests cannot fill, where there are any."""
    empty = grid.filter(pl.col("speedup").is_null() & (pl.col("fits").is_null() | pl.col("fits")))["batch"]
    if empty.is_empty():
        return []
    listed = ", ".join(str(batch) for batch in sorted(set(empty)))
    return [
        f"Batches left out, as the longest request would be in two slots at once: {listed}. Walks need several "
        "requests a slot: raise world_requests to four times the batch, or record more requests."
    ]


def _first_survival(built: Built) -> float:
    """S(1) over all places of the text."""
    if isinstance(built.acceptance, Difficulty):
        return float(difficulty.survival(built.acceptance, 1)[0][0])
    return float(built.acceptance.at(1).survival(1)[0])


def _uniform_iid_choice(built: Built, lengths: np.ndarray, b: int, c: int) -> int:
    """Index of the length that uniform routing and i.i.d. acceptance alpha = S(1) would choose (exact)."""
    batch, context = built.batches[b], built.contexts[c]
    emitted = np.cumsum(_first_survival(built) ** np.arange(lengths.max() + 1))[lengths]
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


def _bests(built: Built, found: Cells, grid: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    worlds = len(found.drafted)
    halves = np.stack(
        [np.arange(worlds) % 2 == 0]
        + [generator(seed, split, Stream.SPLIT).permutation(worlds) < worlds // 2 for split in range(SPLITS)]
    )
    every, allowed = grid.partition_by("batch", "context_tokens", as_dict=True), found.allowed(cells.in_memory(built))
    for b, batch in enumerate(built.batches):
        for c, context in enumerate(built.contexts):
            kept = np.flatnonzero(allowed[b, c])
            if not kept.size:
                continue
            lengths = np.asarray(built.lengths)[kept]
            undrafted, drafted, same = found.undrafted[:, b, c], found.drafted[:, b, c][:, kept], np.ones(len(kept))
            best = estimate.best_length(lengths, same, undrafted, drafted, halves)
            rows = every[(batch, context)].to_dicts()
            chosen, advised = rows[int(kept[best.best])], rows[int(kept[best.recommended])]
            naive = _uniform_iid_choice(built, lengths, b, c)
            naive_value = estimate.honest_value(same, undrafted, drafted, halves[0], fixed=naive)
            speedups = [rows[int(i)]["speedup"] for i in kept if built.lengths[int(i)] > 0]
            yield built.labels | {
                "method": found.method,
                "batch": batch,
                "context_tokens": context,
                "worlds": worlds,
                "best_draft_length": int(lengths[best.best]),
                "recommended": int(lengths[best.recommended]),
                "recommended_speedup": advised["speedup"],
                "recommended_speedup_se": advised["speedup_se"],
                "recommended_p_loss": advised["p_loss"],
                "near_best": [int(lengths[i]) for i in best.near],
                "speedup": best.value,
                "speedup_se": best.value_error,
                "speedup_trace_se": chosen["speedup_trace_se"],
                "p_best": best.share,
                "p_loss": chosen["p_loss"],
                "drafting_speedup": max(speedups) if speedups else None,
                "split_half_noise": best.noise,
                "uniform_iid_draft_length": int(lengths[naive]),
                "regret_uniform_iid": 1 - naive_value / best.value,
                **_at_rooflines(found, b, c, kept, best.best, lengths),
            }


def _at_rooflines(
    found: Cells, b: int, c: int, kept: np.ndarray, best: int, lengths: np.ndarray
) -> dict[str, int | float]:
    """The length that ideal prices would choose in the same worlds, what it seems to gain there, and what it does."""
    if found.ideal is None:
        return {}
    seeming = found.ideal[b, c][kept]
    chosen = int(np.argmax(seeming))
    spent = estimate.mean(found.drafted[:, b, c][:, kept])
    return {
        "ideal_draft_length": int(lengths[chosen]),
        "ideal_speedup": float(seeming[chosen]),
        "regret_ideal": float(1 - spent[best] / spent[chosen]),
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
