"""The walk: the steps that a policy takes along each request's text.

A request of n tokens: token 0 comes from the prompt, tokens 1 .. n-1 are emitted by steps. At a step t is the last
emitted token, k the policy's draft length there, n-1-t what the text still has:

    drafted  = min(k, n-1-t)
    accepted = min(run[t], drafted)
    emitted  = min(accepted + 1, n-1-t)            t <- t + emitted, until t = n-1

The bonus (or correction) is emitted too, except where the text ends before it. Walks of different requests do not
interact, and every policy emits the same tokens: each of 1 .. n-1 exactly once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from montecarlo.errors import InputError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Steps of a walk, request after request in the order walked; all arrays [steps] but `begin`.

    request: as numbered in the text; position: the last emitted token t. begin [walked requests + 1]: the i-th
    walked request takes the steps begin[i] .. begin[i+1]-1 (a request of one token takes none).
    """

    request: Integers
    position: Integers
    drafted: Integers
    accepted: Integers
    emitted: Integers
    begin: Integers

    def __len__(self) -> int:
        return len(self.position)

    @property
    def tokens_per_step(self) -> float:
        """Tokens emitted over steps taken, all requests together."""
        return float(self.emitted.sum() / max(len(self), 1))


def walk(
    start: ArrayLike,
    lengths: ArrayLike,
    run: ArrayLike,
    draft_length: ArrayLike,
    *,
    order: ArrayLike | None = None,
    run_limit: ArrayLike | None = None,
) -> Steps:
    """Walk the requests of `order` (None: all, as they are numbered) at `draft_length`.

    start, lengths [requests]: request r holds the rows start[r] .. start[r] + lengths[r] - 1 of run and run_limit
    [rows]. draft_length: one for all, or by row [rows]. run_limit: how far was drafted (None: to the end of the
    text); a run that reached it may have gone on, so a step that would draft further raises InputError.
    """
    starts, sizes = np.asarray(start, np.int64), np.asarray(lengths, np.int64)
    runs = np.asarray(run, np.int64)
    wanted = np.broadcast_to(np.asarray(draft_length, np.int64), runs.shape)
    if min(runs.min(initial=0), wanted.min(initial=0)) < 0:
        raise InputError(
            f"runs go down to {runs.min(initial=0)} and draft lengths to {wanted.min(initial=0)}; both are 0 or more"
        )
    walked = np.arange(len(sizes)) if order is None else np.asarray(order, np.int64)
    begin = np.concatenate([[0], np.cumsum(sizes[walked])])  # of each request among the tokens of all walked
    request = np.repeat(walked, sizes[walked])
    position = np.arange(begin[-1]) - np.repeat(begin[:-1], sizes[walked])
    row, left = starts[request] + position, sizes[request] - 1 - position
    drafted = np.minimum(wanted[row], left)
    accepted = np.minimum(runs[row], drafted)
    emitted = np.minimum(accepted + 1, left)

    visited = np.zeros(len(position), np.bool_)
    at = begin[:-1]
    while len(at := at[left[at] > 0]):
        visited[at] = True
        at = at + emitted[at]
    steps = np.flatnonzero(visited)
    if run_limit is not None:
        limit = np.asarray(run_limit, np.int64)[row[steps]]
        unknown = np.flatnonzero((drafted[steps] > limit) & (accepted[steps] >= limit))
        if len(unknown):
            first = steps[unknown[0]]
            raise InputError(
                f"{len(unknown)} of {len(steps)} steps draft further than was recorded (first: request "
                f"{request[first]}, token {position[first]}: {drafted[first]} against {limit[unknown[0]]}); "
                "walk at the recorded lengths, or with a fitted acceptance process"
            )
    return Steps(
        request[steps],
        position[steps],
        drafted[steps],
        accepted[steps],
        emitted[steps],
        np.searchsorted(steps, begin),
    )
