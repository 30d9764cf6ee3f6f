"""The closed loop against slots stepped one by one: its stationarity, its seconds and its odds."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import closed_loop, windows
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator
from montecarlo.surface import TAILS, Recording
from montecarlo.text import Text
from montecarlo.walk import Steps, walk
from studies import catalog
from tests.statistics import all_within, mean_and_error, refused, within
from tests.test_walk import slow

LAYERS, EXPERTS, TOP_K = 2, 40, 3


@cache
def tokens() -> tuple[np.ndarray, jax.Array]:
    """400 tokens: their experts, and as bitsets."""
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((400, LAYERS, EXPERTS)), axis=-1)[..., :TOP_K].astype(np.uint8)
    return ids, Recording.of(Text.of(experts=ids, start=np.array([0, 400])), EXPERTS).pool


def slow_loop(
    sizes: list[int], run: list[int], length: int, order: list[int], slots: int, turn: float, phase: np.ndarray
) -> list[list[tuple[int, int, int, int]]]:
    """(request, position, drafted, accepted) of each slot at each step of one group: queues until one is dry."""
    ring = []
    for request in order:
        own = [(request, *step[1:4]) for step in slow(sizes, run, length, [request])]
        first = int(phase[request] * len(own))
        ring += own[first:] + own[:first]
    first = int(turn * len(ring))
    ring, size = ring[first:] + ring[:first], len(ring) // slots
    queues = [ring[slot * size : (slot + 1) * size] for slot in range(slots)]
    taken = []
    while all(queues):
        taken.append([queue.pop(0) for queue in queues])
    return taken


@given(st.data(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 5), st.sampled_from(TAILS))
def test_the_loop_is_the_slow_loop_step_by_step(data, slots, per_slot, groups, length, tail) -> None:
    """Requests, positions, drafts, contexts and distinct experts of every slot at every step."""
    requests = slots * per_slot * groups
    sizes = data.draw(st.lists(st.integers(2, 9), min_size=requests, max_size=requests))
    run = data.draw(st.lists(st.integers(0, 4), min_size=sum(sizes), max_size=sum(sizes)))
    ids, pool = tokens()
    text = Text.of(experts=ids, start=np.array([0, *np.cumsum(sizes), len(ids)]))  # the last request is not walked
    steps = walk(np.cumsum(sizes) - sizes, sizes, run, length)
    taken = np.diff(steps.begin).reshape(groups, -1)
    if np.any(taken.max(axis=1) > taken.sum(axis=1) // slots):
        with pytest.raises(InputError, match="in two slots at once"):
            closed_loop.batches(steps, slots, per_slot, seed=1, world=2)
        return
    dealt = closed_loop.batches(steps, slots, per_slot, seed=1, world=2)
    prompt = np.arange(requests) * 100
    rows = windows.rows(steps, text, tail=tail, seed=1, world=2)
    distinct = windows.distinct(pool, rows, dealt.at)
    turns = generator(1, 2, Stream.START, slots).random(groups)
    phase = generator(1, 2, Stream.START).random(requests)
    window = {(int(r), int(t)): row for r, t, row in zip(steps.request, steps.position, rows, strict=True)}
    expected = []
    for group, order in enumerate(np.arange(requests).reshape(groups, -1).tolist()):
        expected += slow_loop(sizes, run, length, order, slots, turns[group], phase)
    assert len(expected) == len(dealt.at) == dealt.begin[-1]
    context = closed_loop.context(steps, prompt)
    for batch, together in enumerate(expected):
        at = dealt.at[batch]
        found = zip(steps.request[at], steps.position[at], steps.drafted[at], steps.accepted[at], strict=True)
        assert [tuple(int(value) for value in slot) for slot in found] == together
        assert context[at].tolist() == [100 * request + t for request, t, _, _ in together]
        for layer in range(LAYERS):
            held = {int(e) for r, t, _, _ in together for row in window[r, t] if row >= 0 for e in ids[row, layer]}
            assert distinct[batch, layer] == len(held)


def texts(requests: int, seed: int, shortest: int = 30, longest: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, lengths, runs) of requests that differ in length, and in ease by the request."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(shortest, longest, requests)
    ease = np.repeat(rng.choice([0.3, 0.9], requests), sizes)
    return np.cumsum(sizes) - sizes, sizes, rng.geometric(1 - ease) - 1


@pytest.mark.parametrize(("slots", "per_slot"), [(1, 1), (1, 6), (4, 3), (8, 4)])
def test_every_step_is_measured_once_but_those_left_over(slots: int, per_slot: int) -> None:
    size = slots * per_slot
    steps = walk(*texts(2 * size + (size > 1), 0), 2)
    dealt = closed_loop.batches(steps, slots, per_slot, seed=0, world=0)
    assert len(dealt.steps) == 2
    for group, (low, high) in enumerate(zip(dealt.begin, dealt.begin[1:], strict=False)):
        at = dealt.at[low:high].ravel()
        assert len(np.unique(at)) == len(at) > dealt.steps[group] - slots
        assert at.min() >= steps.begin[group * size]
        assert at.max() < steps.begin[(group + 1) * size]
        assert dealt.steps[group] == steps.begin[(group + 1) * size] - steps.begin[group * size]
    request = np.sort(steps.request[dealt.at], axis=1)
    assert np.all(np.diff(request, axis=1) > 0)  # never two slots in one request


def test_measuring_fewer_steps_keeps_evenly_spread_ones_of_all() -> None:
    steps = walk(*texts(24, 0), 2)
    every = closed_loop.batches(steps, 4, 3, seed=0, world=0)
    some = closed_loop.batches(steps, 4, 3, seed=0, world=0, measured=5)
    np.testing.assert_array_equal(some.steps, every.steps)
    assert np.diff(some.begin).tolist() == [5, 5]
    for group, (low, high) in enumerate(zip(every.begin, every.begin[1:], strict=False)):
        spread = low + np.arange(5) * (high - low) // 5
        np.testing.assert_array_equal(some.at[5 * group : 5 * group + 5], every.at[spread])
    more = closed_loop.batches(steps, 4, 3, seed=0, world=0, measured=10**6)
    np.testing.assert_array_equal(more.at, every.at)


WORLDS = 4000


@cache
def dealt_worlds() -> tuple[Steps, list[np.ndarray]]:
    """A ring of twelve requests, 3 slots, dealt in many worlds."""
    steps = walk(*texts(12, 3, 8, 16), 2)
    return steps, [closed_loop.batches(steps, 3, 4, seed=0, world=world).at for world in range(WORLDS)]


@pytest.mark.parametrize("when", [0, 3, -1])
def test_slots_are_stationary_at_every_measured_step(when: int) -> None:
    """Each slot is at a uniform step of the ring, so requests weigh as their steps; tokens or requests are refused."""
    steps, worlds = dealt_worlds()
    at = np.stack([dealt[when] for dealt in worlds])
    for slot in range(3):
        share = np.bincount(at[:, slot], minlength=len(steps)) / WORLDS
        all_within(share, 1 / len(steps), np.sqrt(1 / len(steps) / WORLDS), largest=0.01)
    requests = np.stack([np.bincount(steps.request[slots], minlength=12) / 3 for slots in at])
    mean, error = mean_and_error(requests)
    taken, emitted = np.diff(steps.begin), np.bincount(steps.request, steps.emitted)
    all_within(mean, taken / taken.sum(), error, largest=0.01)
    refused(all_within, mean, emitted / emitted.sum(), error, largest=0.01)
    refused(all_within, mean, np.full(12, 1 / 12), error, largest=0.01)


def test_slots_are_at_independent_places_of_their_requests() -> None:
    """Equal texts do not march in step: the distance between the positions of two slots is uniform."""
    steps = walk(np.arange(12) * 11, np.full(12, 11), np.zeros(132), 0)
    position = np.stack(
        [steps.position[closed_loop.batches(steps, 4, 3, seed=0, world=world).at[5]] for world in range(WORLDS)]
    )
    for other in (1, 2, 3):
        share = np.bincount((position[:, other] - position[:, 0]) % 10, minlength=10) / WORLDS
        all_within(share, 0.1, np.sqrt(0.09 / WORLDS), largest=0.01)


def test_more_requests_change_no_group_and_worlds_and_seeds_differ() -> None:
    start, sizes, run = texts(24, 1)
    few = closed_loop.batches(walk(start[:16], sizes[:16], run, 2), 2, 4, seed=5, world=1)
    more = closed_loop.batches(walk(start, sizes, run, 2), 2, 4, seed=5, world=1)
    np.testing.assert_array_equal(more.at[: len(few.at)], few.at)
    np.testing.assert_array_equal(more.begin[: len(few.begin)], few.begin)
    for changed in ({"seed": 6}, {"world": 2}):
        other = closed_loop.batches(walk(start, sizes, run, 2), 2, 4, **{"seed": 5, "world": 1, **changed})
        assert not np.array_equal(other.at, more.at)


def test_loops_that_cannot_be_filled_are_refused() -> None:
    steps = walk(*texts(5, 0), 2)
    with pytest.raises(InputError, match="3 slots with 2 requests each need 6 requests, and there are 5"):
        closed_loop.batches(steps, 3, 2, seed=0, world=0)
    with pytest.raises(InputError, match="at least 1 of each"):
        closed_loop.batches(steps, 0, 2, seed=0, world=0)
    with pytest.raises(InputError, match="group 1 takes no step"):
        closed_loop.batches(walk([0, 5, 6], [5, 1, 3], np.zeros(9), 0), 1, 1, seed=0, world=0)
    with pytest.raises(InputError, match=r"takes 6 steps and each of 2 slots 5 \(group 1 of 2\), so it would"):
        closed_loop.batches(walk([0, 5, 10, 17], [5, 5, 7, 5], np.zeros(22), 0), 2, 1, seed=0, world=0)


HARDWARE = catalog.hardware("h100-sxm")


def test_dense_targets_and_prompts() -> None:
    """Without experts only tokens and contexts matter: seconds are those of each batch priced by itself."""
    dense = catalog.target("llama-3-8b")
    prices = Ideal(dense, replace(HARDWARE, bf16=1e12), Flat.of(fraction=0.2))  # so slow that every token costs
    start, sizes, run = texts(12, 2)
    steps = walk(start, sizes, run, 3)
    dealt = closed_loop.batches(steps, 3, 2, seed=0, world=0)
    prompt = np.arange(12) * 1000
    verify = closed_loop.verify_seconds(prices, steps, dealt, prompt, None)
    draft = closed_loop.draft_seconds(prices, steps, dealt, prompt, np.array([1.0, 2.0]))
    group = np.repeat([0, 1], np.diff(dealt.begin))
    for batch, at in enumerate(dealt.at):
        before = steps.request[at] * 1000 + steps.position[at]
        assert verify[batch] == prices.ragged_seconds(steps.drafted[at] + 1, before)
        assert draft[batch] == pytest.approx(0.2 * steps.drafted[at].max() * (1 + group[batch]))
    mean = [verify[group == g].mean() for g in (0, 1)]
    np.testing.assert_allclose(closed_loop.durations(dealt, verify), np.multiply(mean, dealt.steps) / 3, rtol=1e-12)


def one_by_one(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Durations [1, requests] of 60 requests of unequal ease at batch 1, without drafts and with three."""
    prices = Ideal(catalog.target("llama-3-8b"), HARDWARE, Flat.of(fraction=0.1))
    start, sizes, run = texts(60, seed, 2)
    spent, step = {}, np.zeros(1)
    for length in (0, 3):
        steps = walk(start, sizes, run, length)
        dealt = closed_loop.batches(steps, 1, 1, seed=0, world=0)
        seconds = closed_loop.verify_seconds(prices, steps, dealt, 500, None)
        step = dealt.mean(seconds) if length == 0 else step
        seconds = seconds + closed_loop.draft_seconds(prices, steps, dealt, 500, step)
        spent[length] = closed_loop.durations(dealt, seconds)
    return spent[0][None], spent[3][None]


def test_the_error_by_request_is_the_spread_between_sets_of_requests() -> None:
    """150 independent sets; the error of durations that are not paired is refused."""
    rng, found = np.random.default_rng(0), [one_by_one(seed) for seed in range(150)]
    paired = [closed_loop.odds(*spent) for spent in found]
    unpaired = [closed_loop.odds(undrafted, rng.permuted(drafted, axis=1)) for undrafted, drafted in found]
    spread = np.std([one.speedup for one in paired], ddof=1)
    assert found[0][0].shape == (1, 60)
    within(np.mean([one.error for one in paired]) / spread, 1.0, 1 / np.sqrt(2 * 149), largest=0.06)
    refused(within, np.mean([one.error for one in unpaired]) / spread, 1.0, 1 / np.sqrt(2 * 149), largest=0.06)


def test_odds_over_worlds() -> None:
    """One world wins, one loses, one is even, which is no loss."""
    undrafted, drafted = np.array([[2.0, 2.0], [3.0, 1.0], [2.0, 2.0]]), np.array([[1.0, 1.0], [3.0, 2.0], [1.0, 3.0]])
    found = closed_loop.odds(undrafted, drafted)
    assert found.speedup == pytest.approx(12 / 11)
    assert found.p_loss == pytest.approx(1 / 3)
    deviation = np.array([4, 4, 4]) / 12 - np.array([2, 5, 4]) / 11
    assert found.error == pytest.approx(12 / 11 * np.sqrt(np.sum(deviation**2) / 6) * 3)
    assert np.isinf(closed_loop.odds(undrafted[:1, :1], drafted[:1, :1]).error)
