"""Is there a gutter: batches at which no draft length pays, while one does at a smaller and at a larger batch?

Over the priors, and over the same draws with one of the answers to the post taken back: neighbouring tokens that share
nothing, an engine that adds no fixed time, rooflines.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from studies.draws import Draws
from studies.response import NONE, Change

ASSUMPTIONS = {
    "as drawn": NONE,
    "no shared experts": Change(overlap=0.0),
    "no fixed times": Change(fixed=0.0),
    "rooflines": Change(rooflines=True),
    "rooflines, no shared experts": Change(overlap=0.0, rooflines=True),
}


def rows(draws: Draws) -> Iterator[dict[str, Any]]:
    """P(no length pays) and P(gutter) by assumption and batch, and of a gutter anywhere (batch null)."""
    above = draws.response.allowed & (draws.lengths > 0)
    for assumption, change in ASSUMPTIONS.items():
        if (change.overlap != 1 and not draws.built.experts) or (
            (change.fixed != 1 or change.rooflines) and draws.built.priors is None
        ):
            continue
        speedup = draws.speedup if change == NONE else draws.response.speedup(draws.points, change)
        drafting = np.where(above, speedup, 0.0).max(axis=-1)  # [draws, batches]
        pays = drafting > 1
        inside = between(pays)
        shared = {"scenario": draws.name, "assumption": assumption}
        yield shared | {"batch": None, "p_none": np.mean(~pays.any(axis=1))} | _chance(np.asarray(inside.any(axis=1)))
        for b, batch in enumerate(draws.response.batches):
            low, middle, high = np.quantile(drafting[:, b], (0.05, 0.5, 0.95))
            row = shared | {"batch": batch, "p_none": np.mean(~pays[:, b])} | _chance(inside[:, b])
            yield row | {"drafting_p05": low, "drafting_p50": middle, "drafting_p95": high}


def between(pays: np.ndarray) -> np.ndarray:
    """Where drafting does not pay, and does at some smaller and some larger batch [..., batches]."""
    before = np.logical_or.accumulate(pays, axis=-1)
    after = np.logical_or.accumulate(pays[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(~pays & before & after)


def _chance(found: np.ndarray) -> dict[str, float]:
    share = float(np.mean(found))
    return {"p_gutter": share, "p_gutter_se": float(np.sqrt(share * (1 - share) / len(found)))}
