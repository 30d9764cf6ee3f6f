"""Accepted drafts by depth: the product-limit estimator, intervals by bootstrap over requests.

    h(d) = steps that accepted d drafts or more / steps that drafted d and accepted d - 1 or more      hazard
    S(d) = h(1) h(2) .. h(d)                                                                           survival

A step says nothing about depths beyond its drafted length: it is censored there, not rejected (Kaplan and Meier, JASA
53, 1958). Of a step that may have been cut at the end of its text (`cut`) it is not known whether its run ended by a
rejection or with the text: it is censored whole, left out at every depth. What that can matter is said beside it:

    hazard_if_rejected   every such step ended by a rejection                       exact where nothing was cut off
    hazard_if_cut        every such step is censored at its accepted count          exact where the text's end cut it

Intervals: 2.5 to 97.5 % of REPLICATES resamples of whole requests. In a tree, a depth is a depth of the tree, whose
width takes part in the hazard: `shape` keeps trees apart from chains.
"""

import numpy as np
import polars as pl

from traces.describe.steps import STRATUM, Steps
from traces.schema import Schema

REPLICATES, CHUNK = 1000, 50

RUNS: Schema = {
    **STRATUM,
    "shape": pl.Enum(["chain", "tree", "unknown"]),
    "depth": pl.Int64,
    "at_risk": pl.Int64,  # steps
    "accepted": pl.Int64,  # of them
    "hazard": pl.Float64,
    "hazard_p025": pl.Float64,  # null where there is one request
    "hazard_p975": pl.Float64,
    "survival": pl.Float64,
    "survival_p025": pl.Float64,
    "survival_p975": pl.Float64,
    "hazard_if_rejected": pl.Float64,
    "hazard_if_cut": pl.Float64,
}


def runs(strata: list[Steps], shape: str) -> pl.DataFrame:
    """RUNS of every stratum."""
    rows = [{"shape": shape, **row} for steps in strata for row in _depths(steps)]
    return pl.DataFrame(rows, schema=RUNS).with_columns(pl.col(pl.Float64).fill_nan(None))


def counted(steps: Steps, deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """(accepted, at risk) [requests, depths]: steps of each request by depth 1 .. deepest, cut steps left out."""
    whole = ~steps.cut
    request, passed, limit = steps.request[whole], steps.accepted[whole], steps.drafted[whole]
    accepted = _reached(request, passed, steps.requests, deepest)
    tried = np.minimum(passed + 1, limit)  # the deepest draft whose fate was seen
    return accepted, _reached(request, tried, steps.requests, deepest)


def _reached(request: np.ndarray, depth: np.ndarray, requests: int, deepest: int) -> np.ndarray:
    """Steps of each request that reached depth 1 .. deepest or deeper [requests, depths]."""
    at = np.bincount(request * (deepest + 1) + np.minimum(depth, deepest), minlength=requests * (deepest + 1))
    return at.reshape(requests, deepest + 1)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def _depths(steps: Steps) -> list[dict[str, object]]:
    accepted, risk = counted(steps, int(steps.drafted.max()))
    seen = int(np.sum(risk.sum(axis=0) > 0))  # at risk at a depth is at risk at all before it
    accepted, risk = accepted[:, :seen], risk[:, :seen]
    hazard = accepted.sum(axis=0) / risk.sum(axis=0)
    low, high = _intervals(accepted, risk)
    rejected, cut = _bounds(steps, seen)
    return [
        {
            "by": steps.by,
            "value": steps.value,
            "depth": depth + 1,
            "at_risk": int(risk[:, depth].sum()),
            "accepted": int(accepted[:, depth].sum()),
            "hazard": hazard[depth],
            "hazard_p025": low[0, depth],
            "hazard_p975": high[0, depth],
            "survival": np.prod(hazard[: depth + 1]),
            "survival_p025": low[1, depth],
            "survival_p975": high[1, depth],
            "hazard_if_rejected": rejected[depth],
            "hazard_if_cut": cut[depth],
        }
        for depth in range(seen)
    ]


def _bounds(steps: Steps, deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """Hazards [depths] if all cut steps ended by a rejection, and if all are censored at their accepted count."""
    alone = np.zeros_like(steps.request)
    accepted = _reached(alone, steps.accepted, 1, deepest)[0]
    tried = np.minimum(steps.accepted + 1, steps.drafted)
    rejected = accepted / _reached(alone, tried, 1, deepest)[0]
    return rejected, accepted / _reached(alone, np.where(steps.cut, steps.accepted, tried), 1, deepest)[0]


def _intervals(accepted: np.ndarray, risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5 and 97.5 % of (hazard, survival) [2, depths] over resampled requests."""
    requests, deepest = accepted.shape
    if requests < 2:
        return np.full((2, deepest), np.nan), np.full((2, deepest), np.nan)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(REPLICATES // CHUNK):
        weights = rng.multinomial(requests, np.full(requests, 1 / requests), CHUNK)
        with np.errstate(invalid="ignore"):  # a resample may hold no step that got so deep
            hazard = (weights @ accepted) / (weights @ risk)
        drawn.append(np.stack([hazard, np.cumprod(hazard, axis=1)], axis=1))
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975], axis=0)
    return low, high
