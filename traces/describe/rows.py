"""Which tokens of a trace are described, and where their text is unbroken.

Decode tokens with all their experts (tokens of no stated phase count as decode); where there are none, prompt tokens,
else tokens of verify steps. A stretch is a run of them in one request whose positions rise by 1: windows and lags
stay inside it. Requests are the clusters: the standard errors leave groups of whole requests out.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from montecarlo.errors import InputError
from traces.describe.jackknife import grouped
from traces.schema import PHASES
from traces.store import Trace

PREFERRED = (1, 0, 2)  # decode, prompt, verify: places in PHASES


@dataclass(frozen=True)
class Rows:
    """The described tokens, in order.

    index [tokens]: their rows in experts.safetensors. first, length [stretches]: stretch s holds the described tokens
    first[s] .. first[s] + length[s] - 1. request [stretches]: whose it is, numbered from 0 among those described.
    group [requests]: jackknife group. notes: a sentence on everything that is left out.
    """

    index: np.ndarray
    first: np.ndarray
    length: np.ndarray
    request: np.ndarray
    group: np.ndarray
    phase: str
    notes: tuple[str, ...]

    @property
    def tokens(self) -> np.ndarray:
        """Described tokens of each request [requests]."""
        return np.bincount(self.request, self.length).astype(np.int64)

    def windows(self, size: int) -> np.ndarray:
        """Windows of `size` neighbouring tokens in each request [requests]."""
        return np.bincount(self.request, np.maximum(self.length - size + 1, 0)).astype(np.int64)


def rows(trace: Trace) -> Rows:
    """The tokens of a trace to describe; raises InputError where none has all its experts."""
    columns = ("request", "position", pl.col("phase").to_physical(), "captured")
    tokens = trace.frame("tokens").select(*columns).collect()
    if len(tokens) != len(trace.experts):
        said = f"{len(tokens):,} rows of tokens and {len(trace.experts):,} rows of experts"
        raise InputError(f"trace {trace.folder} cannot be described: it has {said}; import it again")
    phase, captured = tokens["phase"].fill_null(PREFERRED[0]), tokens["captured"]
    of_phase = {place: (phase == place) & captured for place in PREFERRED}
    chosen = next((place for place in PREFERRED if of_phase[place].any()), None)
    if chosen is None:
        raise InputError(f"trace {trace.folder} cannot be described: no token in it has all its experts")
    notes = []
    if tokens["phase"].null_count():
        notes.append("Tokens whose phase the source does not tell are described as decode tokens.")
    if chosen != PREFERRED[0]:
        notes.append(f"There are no decode tokens: {PHASES[chosen]} tokens are described.")
    for place, of in of_phase.items():
        if place != chosen and of.any():
            notes.append(f"{of.sum():,} {PHASES[place]} tokens are left out.")
    if not captured.all():
        notes.append(f"{len(captured) - captured.sum():,} tokens lack experts and are left out.")
    index = np.flatnonzero(of_phase[chosen].to_numpy())
    owner, position = tokens["request"].to_numpy()[index], tokens["position"].to_numpy()[index]
    breaks = np.flatnonzero((np.diff(owner) != 0) | (np.diff(position) != 1)) + 1
    first = np.concatenate([[0], breaks])
    length = np.array([high - low for low, high in pairwise([*first, len(index)])], np.int64)
    request = np.cumsum(np.diff(owner[first], prepend=owner[0]) != 0)
    return Rows(index, first, length, request, grouped(int(request[-1]) + 1), PHASES[chosen], tuple(notes))
