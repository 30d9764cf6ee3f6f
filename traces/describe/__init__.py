"""Describing a trace: what it holds, as tidy frames whose columns the modules document.

load, overlap, windows, batches, ranks    of routing by token; of popularity alone: load, ranks
runs, spread, tokens_per_step             of verify steps
curves, means                             of acceptance known in sums only: as they were read, never mixed with steps
about, notes                              what the trace is; what was assumed and left out
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from montecarlo.errors import InputError
from traces.acceptance_log import FLAGS
from traces.describe import load, means, overlap, ranks, runs, spread, steps, sums, unions
from traces.describe.jackknife import by_group
from traces.describe.rows import rows
from traces.schema import Schema
from traces.store import Trace

ABOUT: Schema = {"fact": pl.String, "value": pl.String}
NOTES: Schema = {"note": pl.String}

FRAMES: dict[str, Schema] = {
    "about": ABOUT,
    "notes": NOTES,
    "load": load.LOAD,
    "overlap": overlap.OVERLAP,
    "windows": unions.WINDOWS_SEEN,
    "batches": unions.BATCHES,
    "ranks": ranks.RANKS,
    "runs": runs.RUNS,
    "spread": spread.SPREAD,
    "tokens_per_step": means.TOKENS_PER_STEP,
}
AS_READ = ("curves", "means")
FACTS = ("trace", "model", "format", "requests", "tokens", "windows", "steps", "layers", "experts", "top_k", "tree")

Progress = Callable[[int, int], None]


def describe(folder: Path, progress: Progress = lambda done, total: None) -> dict[str, pl.DataFrame]:
    """The frames of a trace folder that it holds the data of; progress is told (tokens done, tokens in all).

    Raises InputError where there is nothing to describe.
    """
    trace = Trace.open(folder)
    frames: dict[str, pl.DataFrame] = {}
    notes: list[str] = []
    flags = trace.info.get("acceptance", {}).get("flags", ())
    if trace.has("experts"):
        frames, notes = _routing(trace, progress)
    elif trace.has("counts"):
        uses = np.zeros(trace.counts.shape[1:], np.int64)
        for window in trace.counts:
            uses += window
        frames = {"load": load.load(uses, trace.info["layers"]), "ranks": ranks.limit(uses)}
        notes.append("Routing is known by frequency only: how tokens overlap cannot be told from it.")
    if trace.has("steps"):
        strata, assumed = steps.strata(trace)
        notes += assumed
        if strata:
            frames["runs"] = runs.runs(strata, _shape(flags))
            frames["spread"] = spread.spread(strata)
            frames["tokens_per_step"] = means.means(strata)
            cut = int(strata[0].cut.sum())
            if cut:
                notes.append(f"{cut:,} steps end a turn and may have been cut: hazard and survival leave them out.")
    notes += [f"Acceptance is flagged {flag}: {FLAGS.get(flag, flag)}." for flag in flags]
    frames |= {name: held for name in AS_READ if trace.has(name) and len(held := trace.frame(name).collect())}
    if not frames:
        raise InputError(f"trace {folder} cannot be described: it holds no routing, popularity or acceptance")
    about = _about(trace)
    told = pl.DataFrame({"note": [*notes, *trace.info.get("notes", ())]}, schema=NOTES)
    return {"about": about, "notes": told, **frames}


def _routing(trace: Trace, progress: Progress) -> tuple[dict[str, pl.DataFrame], list[str]]:
    described, info = rows(trace), trace.info
    layers, count, top_k = info["layers"], int(info["experts"]), int(info["top_k"])
    found = sums.routing(trace.experts, count, described, progress)
    sizes = np.stack([described.windows(size) for size in range(1, sums.DEEPEST + 1)], axis=1)
    in_all = by_group(sizes, described.group, len(found.tokens))
    uses = found.uses.sum(axis=0)
    frames = {
        "load": load.load(uses, layers),
        "overlap": overlap.overlap(found, layers, top_k),
        "windows": unions.windows(found, in_all, layers, top_k),
        "batches": unions.batches(found, layers, top_k),
        "ranks": pl.concat([ranks.limit(uses), ranks.ranks(trace.experts, count, described)]),
    }
    notes = [f"{len(described.index):,} {described.phase} tokens are described.", *described.notes]
    if not info.get("experts_known", True):
        notes.append(
            "The number of experts is assumed from the highest id; uniform figures and dead experts rest on it."
        )
    return frames, notes


def _shape(flags: Sequence[str]) -> str:
    return "tree" if "tree" in flags else "unknown" if "shape-unknown" in flags else "chain"


def _about(trace: Trace) -> pl.DataFrame:
    said = {**trace.info, "trace": trace.folder.resolve().name, "tree": trace.info.get("acceptance", {}).get("tree")}
    said["layers"] = len(trace.info.get("layers", ()))
    held = {name: _written(said[name]) for name in FACTS if said.get(name)}  # none of it, not told: left out
    return pl.DataFrame({"fact": [*held], "value": [*held.values()]}, schema=ABOUT)


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return "/".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
