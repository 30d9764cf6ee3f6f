"""The acceptance by depth that a trace folder holds, for a study to use as it is.

From steps: the product-limit hazards (traces/describe/runs.py). From curves: survival over all their steps. Both are at
the drafted length of the log; trees and averages alone are refused, since no chain's depths can be read from them.
"""

from pathlib import Path

import numpy as np
import polars as pl

from montecarlo.acceptance import Acceptance
from montecarlo.errors import InputError
from traces.acceptance_log import FLAGS
from traces.describe.runs import counted
from traces.describe.steps import strata
from traces.store import Trace

GIVE = "give acceptance as a list (survival by depth) instead"


def acceptance(folder: Path) -> tuple[Acceptance, list[str]]:
    """The law by depth, and what is assumed with it; raises InputError where the trace does not hold one."""
    trace = Trace.open(folder)
    held = trace.info.get("acceptance")
    if held is None:
        raise InputError(
            f"acceptance = trace: {folder} records no accepted drafts; name a probability, a list or a profile"
        )
    if held["tree"] or "tree" in held["flags"]:
        shape = "/".join(map(str, held["tree"] or []))
        raise InputError(
            f"acceptance = trace: the drafts of {folder} were trees {shape}, and a chain's depths are others; {GIVE}"
        )
    notes = [f"Of the trace's acceptance: {FLAGS[flag]}." for flag in held["flags"]]
    if trace.has("steps"):
        parts, assumed = strata(trace)
        accepted, risk = (part.sum(axis=0) for part in counted(parts[0], int(parts[0].drafted.max())))
        known = risk > 0
        hazard = accepted[known] / risk[known]
        length = int(parts[0].drafted.max())
        notes += assumed
        notes.append(
            f"Acceptance is the trace's hazard by depth, {int(risk[0]):,} steps drafted up to {length} ahead; at other "
            "lengths real acceptance shifts, since long runs eat the easy text: `draftodds trace fit` makes a profile "
            "of it that is walked."
        )
        return Acceptance.of(hazard=hazard), notes
    if not trace.has("curves"):
        raise InputError(f"acceptance = trace: {folder} holds averages only, not acceptance by depth; {GIVE}")
    return Acceptance.of(survival=_pooled(trace, folder)), [
        *notes,
        "Acceptance is the trace's survival by depth, at the drafted length of its log.",
    ]


def _pooled(trace: Trace, folder: Path) -> np.ndarray:
    """Survival [depths] over all curves: by their steps; without these, of the only curve."""
    curves = trace.frame("curves").collect()
    keys = ["group", "request", "category", "temperature", "draft_length"]
    if curves["steps"].null_count() or curves["accepted"].null_count():
        if curves.select(keys).unique().height > 1:
            raise InputError(
                f"acceptance = trace: {folder} holds {curves.select(keys).unique().height} curves without their steps, "
                f"which cannot be pooled; {GIVE}"
            )
        return curves.sort("depth")["survival"].to_numpy()
    by_depth = curves.group_by("depth").agg(pl.col("accepted", "steps").sum()).sort("depth")
    share = (by_depth["accepted"] / by_depth["steps"]).to_numpy()
    return np.minimum.accumulate(share)
