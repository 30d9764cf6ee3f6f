"""Windows over a recorded text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.errors import InputError
from montecarlo.text import Text

lengths = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def _text(sizes: list[int]) -> Text:
    start = np.concatenate([[0], np.cumsum(sizes)])
    return Text.of(experts=np.arange(start[-1] * 2, dtype=np.uint16).reshape(-1, 1, 2), start=start)


@given(lengths, st.integers(1, 25), st.data())
def test_windows_are_contiguous_stretches_of_their_request(sizes: list[int], size: int, data: st.DataObject) -> None:
    """At every start: the whole window, or the whole request where it is shorter, each token once."""
    text = _text(sizes)
    request = data.draw(st.integers(0, len(sizes) - 1))
    for first in range(sizes[request]):
        rows = text.positions(np.full(1, request), np.full(1, first), np.arange(size))
        held = rows[rows >= 0]
        assert len(held) == min(size, sizes[request])
        assert np.all(rows[len(held) :] == -1)
        assert rows[0] == text.start[request] + first
        assert held.min() >= text.start[request]
        assert held.max() < text.start[request + 1]
        np.testing.assert_array_equal(np.sort(held), np.arange(held.min(), held.min() + len(held)))
        forward = min(size, sizes[request] - first)
        np.testing.assert_array_equal(rows[:forward], rows[0] + np.arange(forward))


@given(lengths, st.integers(0, 2**32 - 1))
def test_shorter_windows_are_prefixes(sizes: list[int], seed: int) -> None:
    text, rng = _text(sizes), np.random.default_rng(seed)
    request = rng.integers(text.requests, size=8)
    first = (rng.random(8) * text.lengths[request]).astype(int)
    deep = text.positions(request, first, np.arange(24)[:, None])
    for size in (1, 5, 23):
        np.testing.assert_array_equal(text.positions(request, first, np.arange(size)[:, None]), deep[:size])


def test_a_window_at_the_end_goes_on_backwards() -> None:
    """Request 1 holds rows 3..7: a window of four from its fourth token is 6, 7, 5, 4."""
    text = _text([3, 5])
    np.testing.assert_array_equal(text.positions(np.array(1), np.array(3), np.arange(4)), [6, 7, 5, 4])
    np.testing.assert_array_equal(text.positions(np.array(0), np.array(1), np.arange(5)), [1, 2, 0, -1, -1])


def test_rows_give_the_experts_and_missing_ones_where_there_is_no_token() -> None:
    text = _text([2, 2])
    rows = text.rows(np.array([[3, -1], [0, 1]]))
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows[:, :, 0], [[[6, 7], [-1, -1]], [[0, 1], [2, 3]]])


def test_requests_and_lengths_are_those_of_the_offsets() -> None:
    text = _text([4, 1, 7])
    assert text.requests == 3
    np.testing.assert_array_equal(text.lengths, [4, 1, 7])


@pytest.mark.parametrize(
    ("shape", "start", "message"),
    [
        ((4, 2), [0, 4], r"experts have shape \(4, 2\)"),
        ((0, 2, 2), [0, 0], r"experts have shape \(0, 2, 2\)"),
        ((4, 0, 2), [0, 4], r"experts have shape \(4, 0, 2\)"),
        ((4, 2, 2), [0, 3], "from 0 to the number of tokens, 4"),
        ((4, 2, 2), [1, 4], "from 0 to the number of tokens, 4"),
        ((4, 2, 2), [0], "from 0 to the number of tokens, 4"),
        ((4, 2, 2), [[0, 4]], "from 0 to the number of tokens, 4"),
        ((4, 2, 2), [0, 2, 2, 4], r"1 requests hold no token \(first: request 1\)"),
        ((4, 2, 2), [0, 3, 2, 2, 4], r"2 requests hold no token \(first: request 1\)"),
    ],
)
def test_faults_are_named(shape: tuple[int, ...], start: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Text.of(experts=np.zeros(shape, np.uint8), start=np.asarray(start))
