"""Requests followed through an engine's passes, where rows keep the order of the batch but are not named.

A request goes on where it must: at the position after its last, or, after a window of drafts, at one of those the
window covers. Where several might go on, or none, a new request begins, so that none is ever joined to another.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(eq=False)
class Live:
    """A request that goes on: its rows so far, each part with its phase, and where it may go on (low .. high)."""

    low: int = 0
    high: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)

    def add(self, rows: np.ndarray, phase: int, low: int, high: int) -> None:
        """Go on with `rows`, and next at a position of low .. high."""
        self.rows.append(rows)
        self.phases.append(phase)
        self.low, self.high = low, high

    def fits(self, position: int) -> bool:
        """Whether it may go on at `position`."""
        return self.low <= position <= self.high


class Batch:
    """everyone: all requests, in the order in which they begin; unclear: how often one could not be followed."""

    def __init__(self) -> None:
        self.everyone: list[Live] = []
        self.running: list[Live] = []  # in order of the batch
        self.waiting: list[Live] = []  # prompts that were read, in order
        self.unclear = 0

    def _new(self) -> Live:
        self.everyone.append(Live())
        return self.everyone[-1]

    def prompt(self, rows: np.ndarray, first: int, phase: int) -> None:
        """A prompt's rows from position `first` on, or its next chunk."""
        known = [live for live in self.waiting if first and live.fits(first)]
        self.unclear += len(known) > 1
        if len(known) == 1:
            live = known[0]
        else:
            live = self._new()
            self.waiting.append(live)
        live.add(rows, phase, first + len(rows), first + len(rows))

    def step(self, windows: np.ndarray, firsts: list[int], phase: int) -> None:
        """A step of the batch: rows `windows` [requests, size], each from its position of `firsts` on."""
        live = [*self.running, *self.waiting]
        matched = _matched(firsts, live)
        self.unclear += matched.count(None) if live else 0
        self.running = [match or self._new() for match in matched]
        for rows, first, one in zip(windows, firsts, self.running, strict=True):
            one.add(rows, phase, first + 1, first + len(rows))
        self.waiting = [one for one in self.waiting if one not in self.running]


def _matched(firsts: list[int], live: list[Live]) -> list[Live | None]:
    """Which request goes on in each place of the batch; None where none can, or several might.

    All of them in order where they fit; else, position by position, those that are as many as the places.
    """
    if len(firsts) == len(live) and all(one.fits(first) for one, first in zip(live, firsts, strict=True)):
        return list(live)
    found: list[Live | None] = [None] * len(firsts)
    for position in sorted(set(firsts)):
        places = [place for place, first in enumerate(firsts) if first == position]
        able = [one for one in live if one.fits(position)]
        if len(able) == len(places) and not any(one in found for one in able):
            for place, one in zip(places, able, strict=True):
                found[place] = one
    return found
