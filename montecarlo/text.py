"""A recorded text: the experts every token of every request used in every layer, and windows over it."""

from dataclasses import dataclass

import numpy as np

from montecarlo.errors import InputError


@dataclass(frozen=True)
class Text:
    """experts [tokens, layers, top_k] (an unsigned integer array, also a memory map); start and lengths [requests].

    Request r holds the tokens start[r] .. start[r] + lengths[r] - 1, in order. Tokens in no request are not read.
    """

    experts: np.ndarray
    start: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, *, experts: np.ndarray, start: np.ndarray) -> "Text":
        """Build a text cut at start [requests + 1], which is kept whole; raises InputError where it does not fit."""
        if experts.ndim != 3 or min(experts.shape) < 1:
            raise InputError(
                f"experts have shape {experts.shape}; they must be [tokens, layers, top_k], none of them 0"
            )
        offsets = np.asarray(start, np.int64)
        if offsets.ndim != 1 or offsets.size < 2 or offsets[0] != 0 or offsets[-1] != len(experts):
            raise InputError(f"request starts must run from 0 to the number of tokens, {len(experts)}")
        if np.any(np.diff(offsets) < 1):
            first = int(np.flatnonzero(np.diff(offsets) < 1)[0])
            raise InputError(f"{int(np.sum(np.diff(offsets) < 1))} requests hold no token (first: request {first})")
        return cls(experts, offsets, np.diff(offsets))

    @property
    def requests(self) -> int:
        """Number of requests."""
        return len(self.lengths)

    def positions(self, request: np.ndarray, first: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Token rows at `steps` after position `first` of `request`; shapes broadcast; -1 where there is none.

        A window that meets the end of its request goes on backwards before its first position, so it stays
        one contiguous stretch of text, every shorter window is its prefix, and where windows may start does
        not depend on how long they are. A window longer than its request holds the whole request.
        """
        length = self.lengths[request]
        forward = first + steps
        inside = np.where(forward < length, forward, length - 1 - steps)
        return np.where(inside >= 0, self.start[request] + inside, -1)

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Experts [..., layers, top_k] (int32) at `positions`; -1 where there is no token."""
        rows = np.asarray(self.experts[np.maximum(positions, 0)], np.int32)
        if positions.min(initial=0) < 0:
            rows[positions < 0] = -1
        return rows
