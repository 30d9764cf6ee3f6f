"""The verify steps of a trace, and the strata they are described in: all, by drafted length, category, temperature."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from traces.schema import Schema
from traces.store import Trace

STRATUM: Schema = {
    "by": pl.Enum(["all", "drafted", "category", "temperature"]),
    "value": pl.String,  # null for all
}
COLUMNS = ("request", "turn", "accepted", "drafted", "cut")


@dataclass(frozen=True)
class Steps:
    """The steps [steps] of a stratum, in order of request, turn and step.

    request, turn: numbered from 0 among those here. accepted: drafts; drafted: how deep the drafts went.
    cut: the last step of a turn, which may have been cut at the end of the text.
    """

    by: str
    value: str | None
    request: np.ndarray
    turn: np.ndarray
    accepted: np.ndarray
    drafted: np.ndarray
    cut: np.ndarray

    @property
    def requests(self) -> int:
        """Requests with a step."""
        return int(self.request[-1]) + 1

    @property
    def turns(self) -> int:
        """Turns with a step."""
        return int(self.turn[-1]) + 1

    @property
    def tokens(self) -> np.ndarray:
        """Tokens each step emitted, the bonus or correction counted [steps]."""
        return self.accepted + 1


def strata(trace: Trace) -> tuple[list[Steps], list[str]]:
    """Every stratum that has steps, the whole first; and what was assumed."""
    known = trace.frame("requests").select("request", "category", "temperature")
    frame = trace.frame("steps").join(known, on="request", how="left", maintain_order="left").collect()
    if frame.is_empty():
        return [], []
    frame = frame.sort("request", "turn", "step", maintain_order=True)
    notes = []
    silent = frame["drafted"].null_count()
    if silent:
        deepest = int(str(frame["accepted"].max()))
        notes.append(f"{silent:,} steps do not tell their drafted length: {deepest}, the most accepted, is assumed.")
        frame = frame.with_columns(pl.col("drafted").fill_null(deepest))
    return [_steps(by, value, held) for by, value, held in _parts(frame)], notes


def _parts(frame: pl.DataFrame) -> Iterator[tuple[str, str | None, pl.DataFrame]]:
    yield "all", None, frame
    for by in ("drafted", "category", "temperature"):
        if frame[by].n_unique() > 1 or (by != "drafted" and frame[by].null_count() < len(frame)):
            for (value,), held in frame.drop_nulls(by).sort(by, maintain_order=True).group_by(by, maintain_order=True):
                yield by, f"{value:g}" if isinstance(value, float) else str(value), held


def _steps(by: str, value: str | None, frame: pl.DataFrame) -> Steps:
    request, turn, accepted, drafted, cut = (frame[name].to_numpy() for name in COLUMNS)
    new = np.diff(request, prepend=request[0] - 1) != 0
    another = new | (np.diff(turn, prepend=turn[0]) != 0)
    return Steps(by, value, np.cumsum(new) - 1, np.cumsum(another) - 1, accepted, drafted, cut)
