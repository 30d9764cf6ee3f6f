"""Windows of a walk and the union of those verified together, against sets of experts counted one by one."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import windows
from montecarlo.surface import TAILS, Recording
from montecarlo.text import Text
from montecarlo.walk import walk
from tests.statistics import all_within, refused

EXPERTS, LAYERS, TOP_K = 40, 2, 3
SIZES = (7, 1, 3, 9, 2, 30)


def recorded(sizes: tuple[int, ...], seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((sum(sizes), LAYERS, EXPERTS)), axis=-1)[..., :TOP_K].astype(np.uint8)
    return Recording.of(Text.of(experts=ids, start=np.cumsum([0, *sizes])), EXPERTS)


RECORDING = recorded(SIZES)
START = RECORDING.text.start[: len(SIZES)]


@given(st.lists(st.integers(0, 5), min_size=sum(SIZES), max_size=sum(SIZES)), st.integers(0, 6), st.data())
def test_the_union_is_that_of_sets(run, length, data) -> None:
    """Any steps verified together, in blocks of any size: the experts of their accepted text and of their tails."""
    steps = walk(START, SIZES, run, length)
    tail = data.draw(st.sampled_from(TAILS))
    rows = windows.rows(steps, RECORDING.text, tail=tail, seed=0, world=3)
    at = np.asarray(
        data.draw(st.lists(st.lists(st.integers(0, len(steps) - 1), min_size=4, max_size=4), min_size=1, max_size=9))
    )
    found = windows.distinct(*windows.held(RECORDING, rows), at)
    for batch, together in enumerate(at):
        for layer in range(LAYERS):
            held: set[int] = set()
            for step in together:
                for row in rows[step]:
                    held |= set(RECORDING.text.experts[row, layer].tolist()) if row >= 0 else set()
            assert found[batch, layer] == len(held)
    np.testing.assert_array_equal(found, windows.distinct(*windows.held(RECORDING, rows), at, block=2))
    np.testing.assert_array_equal(found[:1], windows.distinct(*windows.held(RECORDING, rows), at[:1]))


@given(st.lists(st.integers(0, 5), min_size=sum(SIZES), max_size=sum(SIZES)), st.integers(0, 6))
def test_accepted_drafts_are_the_text_and_rejected_ones_lie_where_the_tail_says(run, length) -> None:
    steps = walk(START, SIZES, run, length)
    for tail in TAILS:
        rows = windows.rows(steps, RECORDING.text, tail=tail, seed=0, world=0)
        for window, request, t, drafted, accepted in zip(
            rows, steps.request, steps.position, steps.drafted, steps.accepted, strict=True
        ):
            own = START[request] + t
            assert window[: accepted + 1].tolist() == list(range(own, own + accepted + 1))
            assert np.all(window[drafted + 1 :] == -1)
            rejected = window[accepted + 1 : drafted + 1]
            if tail == "text":
                assert rejected.tolist() == list(range(own + accepted + 1, own + drafted + 1))
            elif len(rejected):
                home = np.searchsorted(START, rejected[0], side="right") - 1
                assert tail == "anywhere" or home == request
                inside = rejected[rejected >= 0]
                assert np.all((inside >= START[home]) & (inside < START[home] + SIZES[home]))
                assert len(set(inside.tolist())) == min(len(rejected), SIZES[home])


def test_the_other_place_is_uniform_over_the_request_or_over_all_requests() -> None:
    """2,000 worlds of one rejected draft; the law of the other tail is refused."""
    steps = walk([0, 7], (7, 3), [0] * 10, 1, order=[1])
    text = recorded((7, 3)).text
    shares = {}
    for tail in ("request", "anywhere"):
        landed = [windows.rows(steps, text, tail=tail, seed=0, world=world)[0, 1] for world in range(2000)]
        shares[tail] = np.bincount(landed, minlength=10) / 2000
    laws = {"request": np.repeat([0, 1 / 3], (7, 3)), "anywhere": np.repeat([1 / 14, 1 / 6], (7, 3))}
    for tail, other in (("request", "anywhere"), ("anywhere", "request")):
        error = np.sqrt(laws[tail] * (1 - laws[tail]) / 2000)
        all_within(shares[tail], laws[tail], error, largest=0.012)
        refused(all_within, shares[tail], laws[other], np.maximum(error, 1e-3), largest=0.012)


def test_places_depend_on_request_and_token_alone() -> None:
    request, position = np.arange(40_000) % 7, np.arange(40_000) // 7
    every = windows.places(0, 0, request, position)
    assert np.unique(every[:, 0]).size > 39_900
    assert every.min() >= 0
    assert every.max() < 1
    some = np.random.default_rng(0).permutation(40_000)[:500]
    np.testing.assert_array_equal(windows.places(0, 0, request[some], position[some]), every[some])
    for seed, world in ((1, 0), (0, 1)):
        assert not np.any(windows.places(seed, world, request[some], position[some]) == every[some])
    assert windows.places(0, 0, request[:0], position[:0]).shape == (0, 2)


def test_all_policies_that_stop_somewhere_see_the_same_rejected_drafts() -> None:
    run = [0] * 30
    short, deep = (walk([0], [30], run, length) for length in (2, 4))
    text = recorded((30,)).text
    one, two = (windows.rows(steps, text, tail="request", seed=0, world=0) for steps in (short, deep))
    np.testing.assert_array_equal(one[:20], two[:20, :3])


@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_size_of_a_block_changes_nothing(block: int) -> None:
    rng = np.random.default_rng(1)
    pool = jnp.asarray(rng.integers(0, 2**32, (50, 8, 5), dtype=np.uint32) & 0x11111111)
    pool = pool.at[-1].set(0)
    rows, at = rng.integers(-1, 49, (30, 4)), rng.integers(0, 30, (70, 3))
    expected = np.zeros((70, 5))
    for batch, steps in enumerate(at):
        union = np.zeros((8, 5), np.uint32)
        for row in rows[steps].ravel():
            union |= np.asarray(pool)[row] if row >= 0 else np.uint32(0)
        expected[batch] = np.bitwise_count(union).sum(axis=0)
    np.testing.assert_array_equal(windows.distinct(pool, rows, at, block=block), expected)


@pytest.mark.parametrize("tail", TAILS)
def test_a_recording_too_large_to_keep_is_packed_as_far_as_it_is_read(tail: str) -> None:
    text = recorded((4000, 3000), seed=2).text
    kept, left = Recording.of(text, EXPERTS), Recording.of(text, EXPERTS, pooled=0)
    assert left.pool is None
    steps = walk(text.start[:2], text.lengths, np.arange(7000) % 4, 3, order=[1])
    rows = windows.rows(steps, text, tail=tail, seed=0, world=0)
    at = np.random.default_rng(0).integers(0, len(steps), (50, 2))
    pool, read = windows.held(left, rows)
    expected = windows.distinct(*windows.held(kept, rows), at)
    np.testing.assert_array_equal(windows.distinct(pool, read, at), expected)
    assert not np.asarray(pool[-1]).any()
    assert tail != "text" or len(pool) == 4096  # 3,000 of 7,000 tokens, in a round size
