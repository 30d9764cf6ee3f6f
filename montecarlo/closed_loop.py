"""The closed loop: a fixed number of slots, each always busy; a finished request is replaced by the next at once.

The requests of a group stand in a ring. Their S steps under the policy, end to end, are cut into equal arcs of
M = S // slots, one a slot, and each slot goes round its own arc from a step of its own:

    slot b verifies at step m:   s = (turn + b M + (phase_b + m) mod M) mod S,    m = 0 .. M-1

What is stationary. With finished requests replaced at once, a slot is found in a request in proportion to the
steps it takes there: neither uniformly over requests nor over tokens, and it depends on the policy. `turn` and the
phases are uniform, so at every measured step every slot is at a uniformly random one of all S steps, exactly, and
the phases of two slots are independent. There is nothing to warm up and no slot runs dry before another: at most
slots - 1 of the S steps (those before the turn) are not measured, all others once. The same turn and phases serve
every policy, so that all meet about the same texts.

Arcs are cut inside requests: with q requests a slot, about 1 / (3 q^2) of the slots meet a neighbour in one request.
Prices have no memory, so the one jump per arc, from its end to its start, costs nothing.
"""

from dataclasses import dataclass
from itertools import pairwise

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from montecarlo import estimate
from montecarlo.cost import Ideal
from montecarlo.errors import InputError
from montecarlo.keys import Stream, key, unit
from montecarlo.post import Post
from montecarlo.walk import Steps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batches:
    """Which steps are verified together: at [batches, slots], indices into the walk's steps.

    Group g holds the batches begin[g] .. begin[g+1]-1 and steps[g] of the walk's steps (those left over included).
    """

    at: NDArray[np.int64]
    begin: NDArray[np.int64]
    steps: NDArray[np.int64]

    @property
    def slots(self) -> int:
        """Sequences verified together."""
        return self.at.shape[1]

    def mean(self, values: Floats) -> Floats:
        """Mean over each group's batches [groups] of `values` [batches], added up in order."""
        return np.array([estimate.mean(values[low:high]) for low, high in pairwise(self.begin)])


def batches(steps: Steps, slots: int, per_slot: int, *, seed: int, world: int) -> Batches:
    """Deal a walk to `slots`, in groups of slots x per_slot walked requests each; requests left over are not used.

    Group g is the same whatever other groups there are. Raises InputError where no group can be filled, or where
    one has fewer steps than slots.
    """
    size, requests = slots * per_slot, len(steps.begin) - 1
    if min(slots, per_slot) < 1 or size > requests:
        raise InputError(
            f"{slots} slots with {per_slot} requests each need {size} requests, and there are {requests}; "
            "take fewer slots or fewer requests per slot, at least 1 of each"
        )
    edges = steps.begin[: (requests // size) * size + 1 : size]
    counts = np.diff(edges)
    if counts.min() < slots:
        raise InputError(
            f"{slots} slots share the {counts.min()} steps of group {int(np.argmin(counts))}; each needs at least one"
        )
    uniform = np.asarray(_uniform(key(seed, world, Stream.START), len(counts), slots), np.float64)
    dealt = [_deal(first, count, row) for first, count, row in zip(edges[:-1], counts, uniform, strict=True)]
    return Batches(np.concatenate(dealt), np.concatenate([[0], np.cumsum(counts // slots)]), counts)


def _uniform(stream: jax.Array, groups: int, slots: int) -> jax.Array:
    """The turn and the phases [groups, 1 + slots] of every group."""
    return unit(jax.random.fold_in(stream, slots), (groups, 1 + slots))


def _deal(first: int, count: int, uniform: Floats) -> NDArray[np.int64]:
    """Steps [count // slots, slots] of one group, whose steps begin at `first`."""
    arc = count // (len(uniform) - 1)
    turn, phase = int(uniform[0] * count), (uniform[1:] * arc).astype(np.int64)
    along = (phase + np.arange(arc)[:, None]) % arc
    return first + (turn + np.arange(len(phase)) * arc + along) % count


def context(steps: Steps, prompt: ArrayLike) -> NDArray[np.int64]:
    """Tokens before the window at each step [steps]: the request's `prompt` (one for all, or [requests]) and text."""
    given = np.asarray(prompt, np.int64)
    return steps.position + (given if given.ndim == 0 else given[steps.request])


def verify_seconds(
    prices: Ideal | Post, steps: Steps, dealt: Batches, prompt: ArrayLike, distinct: NDArray[np.uint16] | None
) -> Floats:
    """Seconds of the verify of each batch [batches]; `distinct` [batches, layers] (None: a dense target)."""
    queries = steps.drafted[dealt.at] + 1
    seconds = prices.ragged_seconds(queries, context(steps, prompt)[dealt.at])
    if distinct is None:
        return seconds
    return seconds + prices.moe_seconds(queries.sum(axis=1)[:, None], distinct).sum(axis=1)


def draft_seconds(prices: Ideal | Post, steps: Steps, dealt: Batches, prompt: ArrayLike, undrafted: Floats) -> Floats:
    """Seconds of drafting of each batch [batches], given each group's mean undrafted step [groups]."""
    step = np.repeat(undrafted, np.diff(dealt.begin))
    return prices.ragged_draft_seconds(steps.drafted[dealt.at], context(steps, prompt)[dealt.at], step)


def durations(dealt: Batches, seconds: Floats) -> Floats:
    """Seconds in which each group's slots emit its texts [groups], from the seconds of its batches [batches]."""
    return dealt.mean(seconds) * dealt.steps / dealt.slots


@dataclass(frozen=True)
class Odds:
    """Speedup of a policy, its Monte Carlo standard error, and the share of worlds in which it loses."""

    speedup: float
    error: float
    p_loss: float


def odds(undrafted: Floats, drafted: Floats) -> Odds:
    """Compare durations [worlds, groups] of the same texts without and with drafting.

    The tokens are the same, so the speedup is sum(undrafted) / sum(drafted). Clusters of its error are worlds, or in
    a single world its groups: independent batches, and with one slot and one request per slot the requests.
    """
    clusters = undrafted.T if len(undrafted) == 1 else undrafted.sum(axis=1, keepdims=True)
    against = drafted.T if len(drafted) == 1 else drafted.sum(axis=1, keepdims=True)
    value, error = estimate.speedup(np.ones(1), clusters, against)
    return Odds(float(value[0]), float(error[0]), float(np.mean(drafted.sum(axis=1) > undrafted.sum(axis=1))))
