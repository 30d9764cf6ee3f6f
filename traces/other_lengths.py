"""What a fit says of other draft lengths than were recorded, and how well it knows that.

At one drafted length, decay by depth and difficulty trade off (traces/fit_acceptance.py). Both are in

    decay        offset_1 - offset_D, logits that the drafter loses down to the deepest drafted depth D
    difficulty   sqrt(request_sd^2 + short_sd^2 + slow_sd^2)

Their correlation is that of the estimates (first order, by the sandwich). Tokens per step at draft length k follow by
walking over the same texts, of a request of typical length and ease, with the estimate and with draws of its law.
Beyond D the drafter is assumed to hold (the last offset is kept); `if_falling` has it lose decay / (D - 1) logits more
at each depth.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from montecarlo.difficulty import Difficulty
from montecarlo.keys import Stream, key
from traces.difficulty_likelihood import SDS
from traces.fit_acceptance import Fit
from traces.fit_curve import walk_lengths

LENGTHS, BEYOND = 8, 3  # draft lengths 1 .. 8, and at least so many past the deepest drafted
DRAWS, AT_ONCE = 124, 32
REQUESTS, TOKENS = 128, (256, 1024)  # texts, and the range of their tokens
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True)
class Row:
    """Tokens per step at a draft length: estimate, ends of the 95 % interval, and if the drafter goes on falling.

    drafted: whether the log reached so deep. low and high hold the fit's errors alone, not those of the model.
    """

    draft_length: int
    drafted: bool
    tokens_per_step: float
    low: float
    high: float
    if_falling: float | None


def correlation(found: Fit) -> float | None:
    """Of decay and difficulty; None where there is only one depth, or no difficulty."""
    depths, theta = found.depths, found.theta
    sds = slice(depths, depths + len(SDS))
    total = float(np.sqrt(np.sum(theta[sds] ** 2)))
    if depths < 2 or total == 0:
        return None
    decay, difficulty = np.zeros(len(theta)), np.zeros(len(theta))
    decay[0], decay[depths - 1] = 1, -1
    difficulty[sds] = theta[sds] / total
    covariance = np.nan_to_num(found.sandwich)
    spread = np.sqrt(decay @ covariance @ decay * (difficulty @ covariance @ difficulty))
    return float(decay @ covariance @ difficulty / spread) if spread > 0 else None


def other_lengths(found: Fit, seed: int = 0) -> list[Row]:
    """A row for each draft length."""
    depths = found.depths
    lengths = max(LENGTHS, depths + BEYOND)
    estimate = found.process
    falls = max(float(estimate.offsets[0] - estimate.offsets[-1]), 0.0) / max(depths - 1, 1)
    falling = replace(estimate, fall=jnp.float32(falls))
    walked = _walk([estimate, falling, *found.draws(DRAWS, seed)], lengths, found.typical_tokens, seed)
    low, high = np.quantile(walked[2:], [LOW, HIGH], axis=0)
    return [
        Row(
            draft_length=k,
            drafted=k <= depths,
            tokens_per_step=float(walked[0, k - 1]),
            low=float(low[k - 1]),
            high=float(high[k - 1]),
            if_falling=float(walked[1, k - 1]) if k > depths > 1 else None,
        )
        for k in range(1, lengths + 1)
    ]


def _walk(processes: list[Difficulty], lengths: int, typical: float, seed: int) -> NDArray[np.float64]:
    """Tokens per step [processes, lengths], all over the same random words."""
    tokens = int(np.clip(-(-int(typical) // TOKENS[0]) * TOKENS[0], *TOKENS))
    stream, found = key(seed, 0, Stream.RUN), []
    for first in range(0, len(processes), AT_ONCE):
        some = processes[first : first + AT_ONCE]
        filled = some + some[-1:] * (AT_ONCE - len(some))  # one shape is compiled
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *filled)
        found.append(np.asarray(walk_lengths(stacked, stream, lengths, REQUESTS, tokens), np.float64)[: len(some)])
    return np.concatenate(found)
