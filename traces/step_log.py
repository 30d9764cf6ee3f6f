"""A log of verify steps as arrays, and the log that walking over synthetic texts leaves.

A step starts at the last emitted token t, drafts tokens t+1 .. t+drafted, and accepts the first `accepted` of them;
one more token is emitted: the correction in place of the first rejected draft, or the bonus after the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from montecarlo.errors import InputError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class StepLog:
    """Columns [steps], the steps of a request and of its turns one after another.

    request: numbered from 0. turn: any number that differs from one turn of a request to the next. drafted,
    accepted: drafts. cut: the step met the end of its text, so `accepted` is a lower bound.
    """

    request: Integers
    turn: Integers
    drafted: Integers
    accepted: Integers
    cut: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        *,
        request: ArrayLike,
        drafted: ArrayLike,
        accepted: ArrayLike,
        turn: ArrayLike = 0,
        cut: ArrayLike = False,
    ) -> "StepLog":
        """Check and hold a log; scalars stand for all steps. Raises InputError naming all faults with counts."""
        rows = np.asarray(request, np.int64)
        if rows.ndim != 1 or rows.size == 0:
            raise InputError("a log of steps must hold at least one step")
        columns = [np.broadcast_to(np.asarray(values, np.int64), rows.shape) for values in (turn, drafted, accepted)]
        turns, depth, taken = columns
        first = np.concatenate([[True], np.diff(rows) != 0])
        faults = {
            "steps that accepted less than no draft": taken < 0,
            "steps that accepted more than was drafted": taken > depth,
            "steps of a request that are not neighbours": first & (np.cumsum(first) - 1 != rows),
        }
        found = [
            f"{int(wrong.sum())} {what} (first: step {int(np.flatnonzero(wrong)[0])})"
            for what, wrong in faults.items()
            if wrong.any()
        ]
        if found:
            raise InputError(f"a log of {rows.size} steps: {'; '.join(found)}")
        return cls(rows, turns, depth, taken, np.broadcast_to(np.asarray(cut, np.bool_), rows.shape))

    @property
    def requests(self) -> int:
        """Number of requests."""
        return int(self.request[-1]) + 1

    @property
    def draft_length(self) -> int:
        """The longest draft."""
        return int(self.drafted.max())

    @property
    def tokens(self) -> Integers:
        """Tokens that the steps of each request emitted [requests]."""
        return np.bincount(self.request, self.accepted + 1).astype(np.int64)

    @property
    def typical_tokens(self) -> float:
        """The geometric mean length of a request, each counted as often as it has tokens."""
        return float(np.exp(np.average(np.log(self.tokens), weights=self.tokens)))

    def of_requests(self, chosen: Integers) -> "StepLog":
        """The log of `chosen` requests, in that order, numbered anew; one chosen twice is there twice."""
        bounds = np.searchsorted(self.request, np.arange(self.requests + 1))
        counts = np.diff(bounds)[chosen]
        ends = np.cumsum(counts)
        at = np.repeat(bounds[chosen] - (ends - counts), counts) + np.arange(ends[-1])
        columns = (self.turn[at], self.drafted[at], self.accepted[at], self.cut[at])
        return StepLog(np.repeat(np.arange(len(chosen)), counts), *columns)


def joined(logs: Sequence[StepLog]) -> StepLog:
    """Several logs as one, their requests numbered on."""
    first = np.cumsum([0, *(log.requests for log in logs[:-1])])
    columns = {
        name: np.concatenate([getattr(log, name) for log in logs]) for name in ("turn", "drafted", "accepted", "cut")
    }
    request = np.concatenate([log.request + start for log, start in zip(logs, first, strict=True)])
    return StepLog.of(request=request, **columns)


def walked(run: NDArray[np.integer], draft_length: ArrayLike, lengths: ArrayLike | None = None) -> StepLog:
    """The log of one walk over each text.

    run [texts, tokens]; draft_length: one for all, or [texts, steps] that of each step, the last of them for all
    later ones; lengths [texts]: tokens of each text, by default all. Every walk starts at the text's first
    token. As in the logs of engines, what a step emits past the end is dropped, so of a text's last token nobody
    knows whether it was a draft or the correction of one: that step is `cut`, and the token counts as the latter.
    """
    texts, tokens = run.shape
    length = np.broadcast_to(np.asarray(tokens if lengths is None else lengths, np.int64), (texts,))
    rows = np.arange(texts)
    at = np.zeros(texts, np.int64)
    given = np.asarray(draft_length, np.int64)
    by_step = given if given.ndim == 2 else np.broadcast_to(given, (texts, 1))
    steps: list[Integers] = []
    while np.any(going := at < length - 1):
        room = length - 2 - at
        drafted = by_step[:, min(len(steps), by_step.shape[1] - 1)]
        accepted = np.minimum(np.minimum(run[rows, np.minimum(at, tokens - 1)], drafted), room)
        steps.append(np.stack([rows, drafted, accepted, accepted == room])[:, going])
        at = np.where(going, at + accepted + 1, at)
    request, drafted, accepted, cut = np.concatenate(steps, axis=1)
    order = np.argsort(request, kind="stable")
    return StepLog.of(
        request=request[order], drafted=drafted[order], accepted=accepted[order], cut=cut[order].astype(bool)
    )
