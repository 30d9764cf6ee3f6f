"""sensitivity: which prior moves the answer, and what to measure first.

The terms of prices that have a prior, and overlap, acceptance and its fall with depth, are drawn; every draw prices all
batches and lengths from one set of surface worlds (studies/response.py). Variance shares take `worlds` base rows, the
value of knowing four times as many draws.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from montecarlo import sobol, value
from montecarlo.errors import InputError
from studies import gutter, swings, worth
from studies import tasks as blocks
from studies.columns import FILES
from studies.config import Study
from studies.draws import Draws
from studies.response import POOL, Response
from studies.results import Results
from studies.scenario import Built
from studies.surfaces import surface_block
from studies.tasks import Arrays, Task, joined
from studies.unknowns import Unknowns

ABOUT = "which prior moves the answer, and what to measure first"
BLOCK = 8  # surface worlds a task
LEAST = 16  # rows

Row = dict[str, Any]


def prepared(study_json: str, index: int) -> Built:
    """Scenario `index`, built once; raises InputError where the study cannot be made."""
    built = blocks.prepared(study_json, index)
    if built.walked:
        raise InputError(
            "sensitivity takes acceptance by depth: difficulty along the text has to be walked at every draw. Give a "
            "probability, a list or a profile of kind acceptance; `draftodds run optimal-k` walks"
        )
    if len(built.contexts) > 1:
        raise InputError(f"sensitivity takes one context_tokens, not {len(built.contexts)}; run it once for each")
    if 0 not in built.lengths or len(built.lengths) < 2:
        raise InputError("sensitivity compares with no drafting; give draft_length a 0 and a length above it")
    fits = built.prices.fits(min(built.batches), 0, built.contexts[0])
    if fits is not None and not fits:
        raise InputError(f"nothing fits in memory at {built.contexts[0]:,} tokens of context, not even one batch")
    return built


def tasks(study: Study, worlds: int) -> list[Task]:
    """The surface worlds of every scenario; what they are priced at is drawn afterwards, which is quick."""
    plain = study.model_dump_json()
    return [
        task for index in range(len(study.scenario)) for task in blocks.blocks(surface_block, plain, index, POOL, BLOCK)
    ]


def conclude(study: Study, worlds: int, done: Mapping[str, Arrays], meta: dict[str, Any]) -> Results:
    """The results of all scenarios from the arrays of all tasks, by task name."""
    plain, rows = study.model_dump_json(), power_of_two(worlds)
    parts: dict[str, list[Row]] = {name: [] for name in FILES["sensitivity"]}
    notes = {}
    for index in range(len(study.scenario)):
        built = prepared(plain, index)
        names = [task.name for task in blocks.blocks(surface_block, plain, index, POOL, BLOCK)]
        unknowns = Unknowns.of(built)
        draws = Draws.of(Response.of(unknowns, joined([done[name] for name in names])["distinct"]), study.seed, rows)
        shares = list(swings.indices(draws, rows))
        gained = list(worth.rows(draws))
        for name, found in {
            "results": _grid(draws),
            "best": _bests(draws, gained),
            "unknowns": swings.unknowns(draws),
            "indices": shares,
            "screening": swings.screening(draws),
            "tornado": swings.tornado(draws),
            "contours": swings.contours(draws, _ranked(shares)),
            "worth": gained,
            "improvements": worth.improvements(draws),
            "gutter": gutter.rows(draws),
        }.items():
            parts[name] += found
        notes[draws.name] = [*built.notes, *_said(draws, rows, worlds)]
    frames = {name: pl.DataFrame(parts[name], schema=schema) for name, schema in FILES["sensitivity"].items()}
    return Results("sensitivity", frames, notes, meta)


def power_of_two(worlds: int) -> int:
    """The smallest power of two of at least `worlds`, and at least 16: rows of a balanced Sobol sequence."""
    return 1 << int(np.ceil(np.log2(max(worlds, LEAST))))


def largest_error(results: Results) -> float:
    """Largest relative error of any speedup over the priors, in percent."""
    relative = (results["results"]["speedup_se"] / results["results"]["speedup"]).drop_nulls().to_numpy()
    return float(100 * relative.max(initial=0.0))


def _said(draws: Draws, rows: int, worlds: int) -> Iterator[str]:
    yield (
        "Distinct experts are counted in one set of surface worlds; overlap moves what neighbouring tokens share, and "
        "rejected drafts load what they do under the scenario's own acceptance."
    )
    if draws.built.recording is not None:
        yield "Requests of the trace are taken as given: their sampling error is not among the unknowns."
    if rows != worlds:
        yield f"worlds = {worlds} is rounded up to {rows} rows, a power of two."
    left = [batch for batch in draws.built.batches if batch not in draws.response.batches]
    if left:
        yield f"Batches that do not fit in memory are left out: {', '.join(map(str, left))}."


def _ranked(shares: list[Row]) -> dict[int, list[str]]:
    """Groups by batch, the largest total share of the variance of log speedup first."""
    kept = [row for row in shares if row["figure"] == "log_speedup"]
    ordered = sorted(kept, key=lambda row: -(row["total"] or 0.0))
    return {batch: [r["group"] for r in ordered if r["batch"] == batch] for batch in {r["batch"] for r in kept}}


def _place(draws: Draws, batch: int) -> Row:
    return draws.built.labels | {"study": "sensitivity", "batch": batch, "context_tokens": draws.built.contexts[0]}


def _grid(draws: Draws) -> Iterator[Row]:
    lost, best = draws.halves.lost.mean(axis=(0, 1)), draws.halves.best.mean(axis=(0, 1))
    known = draws.built.acceptance.known
    for b, batch in enumerate(draws.response.batches):
        for k, length in enumerate(draws.lengths):
            row = _place(draws, batch) | {
                "draft_length": int(length),
                "draws": len(draws.points),
                "fits": bool(draws.response.allowed[b, k]),
                "extrapolated": known is not None and int(length) > known,
            }
            if draws.response.allowed[b, k]:
                logs = np.log(draws.speedup[:, b, k])
                low, middle, high = np.exp(np.quantile(logs, (0.05, 0.5, 0.95)))
                row |= {
                    "speedup": np.exp(logs.mean()),
                    "speedup_se": np.exp(logs.mean()) * logs.std(ddof=1) / np.sqrt(len(logs)),
                    "speedup_p05": low,
                    "speedup_p50": middle,
                    "speedup_p95": high,
                    "p_loss": lost[b, k],
                    "p_best": best[b, k],
                }
            yield row


def _bests(draws: Draws, gained: list[Row]) -> Iterator[Row]:
    halves = draws.halves
    _, share = sobol.excess_variance(draws.at_shown(halves.log_rate) - halves.log_rate[..., 0])
    upper = value.evpi_at_most(halves.log_rate)
    worths = {row["batch"]: row for row in gained if row["kind"] == "everything"}
    for b, batch in enumerate(draws.response.batches):
        shown, noise = int(draws.shown[b]), 1 - float(share.value[b])
        yield _place(draws, batch) | {
            "best_draft_length": int(draws.lengths[draws.best[b]]),
            "recommended": int(draws.lengths[draws.recommended[b]]),
            "draft_length": int(draws.lengths[shown]),
            "speedup": float(np.exp(np.log(draws.speedup[:, b, shown]).mean())),
            "p_loss": float(halves.lost[..., b, shown].mean()),
            "noise_share": None if np.isnan(noise) else noise,
            "noise_share_se": None if np.isnan(noise) else float(share.error[b]),
            "evpi_percent": worths[batch]["percent"],
            "evpi_percent_se": worths[batch]["percent_se"],
            "evpi_at_most_percent": float(upper.percent[b]),
        }
