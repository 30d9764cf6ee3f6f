"""A log of steps as what it says of each token of the text, packed into lanes of equal length.

Every token was decided at most once: the accepted drafts of a step at depths 1..A, then the rejected one at depth
A + 1, whose place the correction takes. A bonus token was never drafted, and a step that met the end of its text
rejected nothing. So a log is a series of binary outcomes along the text, some missing.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.step_log import StepLog

MISSING = -1
ROWS_OF, LANES_OF = 128, 16  # sizes are rounded up to these, so that logs of the same kind compile once
SAME, NEW_TURN, NEW_REQUEST = 0, 1, 2


@dataclass(frozen=True)
class Lanes:
    """Arrays [tokens, lanes]; each request lies in one lane, whole.

    outcome: 1 accepted, 0 rejected, -1 missing. depth: from 0, where there is an outcome. begins: SAME, NEW_TURN
    or NEW_REQUEST. request: the number of the request; padding has that of no request, `requests`.
    """

    outcome: NDArray[np.int8]
    depth: NDArray[np.int32]
    begins: NDArray[np.int8]
    request: NDArray[np.int32]
    requests: int
    depths: int

    @classmethod
    def of(cls, log: StepLog) -> "Lanes":
        """Lay out a log; a lane is as long as the longest request."""
        emitted = log.accepted + 1
        step = np.repeat(np.arange(len(emitted)), emitted)
        depth = np.arange(len(step)) - np.repeat(np.cumsum(emitted) - emitted, emitted)
        rejected = (log.accepted < log.drafted) & ~log.cut
        outcome = np.where(depth < log.accepted[step], 1, np.where(rejected[step], 0, MISSING))
        new_request = np.concatenate([[True], np.diff(log.request) != 0])
        new_turn = np.concatenate([[True], np.diff(log.turn) != 0]) & ~new_request
        begins = np.where(depth == 0, (NEW_TURN * new_turn + NEW_REQUEST * new_request)[step], SAME)
        request = log.request[step]
        size = np.bincount(request, minlength=log.requests)
        tokens = -(-int(size.max()) // ROWS_OF) * ROWS_OF
        lane, row, filled = _packed(size, tokens)
        lanes = -(-filled // LANES_OF) * LANES_OF
        position = np.arange(len(step)) - np.repeat(np.cumsum(size) - size, size)
        at = (row[request] + position, lane[request])

        def laid(values: NDArray[np.int64], padding: int, dtype: type[np.signedinteger]) -> NDArray[np.signedinteger]:
            whole = np.full((tokens, lanes), padding, dtype)
            whole[at] = values
            return whole

        return cls(
            outcome=laid(outcome, MISSING, np.int8),
            depth=laid(np.where(outcome == MISSING, 0, depth), 0, np.int32),
            begins=laid(begins, NEW_REQUEST, np.int8),
            request=laid(request, log.requests, np.int32),
            requests=log.requests,
            depths=log.draft_length,
        )


def _packed(size: NDArray[np.int64], tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(lane, first row) of each request, longest first into the emptiest lane; number of lanes."""
    lane, row = np.zeros(len(size), np.int64), np.zeros(len(size), np.int64)
    filled: list[tuple[int, int]] = []
    for request in np.argsort(-size, kind="stable"):
        emptiest, into = filled[0] if filled else (tokens, 0)
        if emptiest + size[request] > tokens:
            emptiest, into = 0, len(filled)
            heapq.heappush(filled, (int(size[request]), into))
        else:
            heapq.heapreplace(filled, (emptiest + int(size[request]), into))
        lane[request], row[request] = into, emptiest
    return lane, row, len(filled)
