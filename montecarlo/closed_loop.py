"""The closed loop: a fixed number of slots, each always busy; a finished request is replaced by the next at once.

The requests of a group stand in a ring, each with as many places as it takes steps under the policy. Its steps fill
them in order from a random one on, round. The ring's S places are cut into equal queues of M = S // slots, one a slot,
from a random place on:

    slot b verifies at step m the place (turn + b M + m) mod S,    m = 0 .. M-1

What is stationary. With finished requests replaced at once a slot is found in a request in proportion to the steps it
takes there: neither uniformly over requests nor by tokens, and it depends on the policy. Here, at every measured step,
every slot is at a uniformly random one of all S steps, exactly; slots are in different requests, as no request has more
places than a queue (else it is refused); and given the requests, where two slots are in them is independent (systematic
sampling in proportion to size: Madow, Annals of Mathematical Statistics 20(3), 1949). So nothing is warmed up, and all
queues run dry at once: at most slots - 1 of the S steps are not measured, all others once.

A slot does not finish its first request before it begins it anew, as a real one would: prices have no memory, so only
what is verified together counts. The same random numbers serve every policy, so that all meet about the same texts.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from montecarlo import estimate
from montecarlo.cost import Ideal
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator
from montecarlo.post import Post
from montecarlo.walk import Steps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batches:
    """Which steps are verified together: at [batches, slots], indices into the walk's steps.

    Group g holds the batches begin[g] .. begin[g+1]-1 and steps[g] of the walk's steps (those not dealt included).
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


def batches(steps: Steps, slots: int, per_slot: int, *, seed: int, world: int, measured: int | None = None) -> Batches:
    """Deal a walk to `slots`, in groups of slots x per_slot walked requests each; requests left over are not used.

    measured: at most so many batches of a group, evenly spread over its M (None: all M); any of them is as stationary
    as all. Group g is the same whatever other groups there are. Raises InputError where no group can be filled, and
    where a request would have to be in two slots at once.
    """
    size, requests = slots * per_slot, len(steps.begin) - 1
    if min(slots, per_slot) < 1 or size > requests:
        raise InputError(
            f"{slots} slots with {per_slot} requests each need {size} requests, and there are {requests}; "
            "take fewer slots or fewer requests per slot, at least 1 of each"
        )
    edges = steps.begin[: (requests // size) * size + 1 : size]
    counts = np.diff(edges)
    taken = np.diff(steps.begin)[: len(counts) * size].reshape(len(counts), size)
    if counts.min() == 0:
        raise InputError(f"group {int(np.argmin(counts))} takes no step: its requests are of one token; leave them out")
    twice = np.flatnonzero(taken.max(axis=1) > counts // slots)
    if len(twice):
        group = int(twice[0])
        raise InputError(
            f"a request takes {taken[group].max()} steps and each of {slots} slots {counts[group] // slots} "
            f"(group {group} of {len(counts)}), so it would be in two slots at once; take more requests per slot, or "
            "fewer slots"
        )
    turns = generator(seed, world, Stream.START, slots).random(len(counts))
    ring, dealt = _ring(steps.begin, generator(seed, world, Stream.START).random(requests)), []
    for low, count, turn in zip(edges[:-1], counts, turns, strict=True):
        queue = count // slots
        kept = queue if measured is None else min(measured, queue)
        step = np.arange(kept) * queue // kept
        place = int(turn * count) + np.arange(slots) * queue + step[:, None]
        dealt.append(ring[low + place % count])
    return Batches(np.concatenate(dealt), np.concatenate([[0], np.cumsum([len(at) for at in dealt])]), counts)


def _ring(begin: NDArray[np.int64], phase: Floats) -> NDArray[np.int64]:
    """The step at each place [steps]: request i takes the places begin[i] .. begin[i+1]-1, from its `phase` on."""
    taken = np.diff(begin)
    first, many = np.repeat(begin[:-1], taken), np.repeat(taken, taken)
    turned = np.arange(begin[-1]) - first + np.repeat((phase * taken).astype(np.int64), taken)
    return first + turned % np.maximum(many, 1)


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


def term_seconds(prices: Ideal | Post, steps: Steps, dealt: Batches, prompt: ArrayLike) -> dict[str, Floats]:
    """The same seconds by term [batches], the experts aside."""
    found: dict[str, Floats] = {}
    for kernel in prices.ragged(steps.drafted[dealt.at] + 1, context(steps, prompt)[dealt.at]):
        found[kernel.term] = np.add(found.get(kernel.term, 0.0), kernel.seconds(prices.bandwidth))
    return found


def draft_seconds(prices: Ideal | Post, steps: Steps, dealt: Batches, prompt: ArrayLike, undrafted: Floats) -> Floats:
    """Seconds of drafting of each batch [batches], given each group's mean undrafted step [groups]."""
    step = np.repeat(undrafted, np.diff(dealt.begin))
    return prices.ragged_draft_seconds(steps.drafted[dealt.at], context(steps, prompt)[dealt.at], step)


def durations(dealt: Batches, seconds: Floats) -> Floats:
    """Seconds in which each group's slots emit its texts [groups], from the seconds of its batches [batches]."""
    return dealt.mean(seconds) * dealt.steps / dealt.slots


def duration(dealt: Batches, seconds: Floats) -> float:
    """The sum of `durations` over the groups, to rounding; many times faster."""
    counts = np.diff(dealt.begin)
    return float(np.sum(np.repeat(dealt.steps / (dealt.slots * counts), counts) * seconds))


@dataclass(frozen=True)
class Odds:
    """Speedup of a policy, its standard error (infinite for one cluster), the share of worlds in which it loses."""

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
    known = float(error[0]) if len(clusters) > 1 else np.inf
    return Odds(float(value[0]), known, float(np.mean(drafted.sum(axis=1) > undrafted.sum(axis=1))))
