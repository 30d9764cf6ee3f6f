"""A stored trace replayed: which tokens, and the same counts whether packed once or world by world."""

from pathlib import Path

import numpy as np
import pytest

from montecarlo import surface
from montecarlo.errors import InputError
from montecarlo.surface import TAILS, Recording
from montecarlo.text import Text
from tests.routing_traces import routed
from tests.test_npz import made_up, packed
from tests.test_trace_store import request, written
from traces import importers, npz, replay
from traces.request import UNKNOWN, Request, Shape

SHAPE = {"layers": 5, "experts": 16, "top_k": 4}


def rows(text: Text, request: int) -> np.ndarray:
    low = int(text.start[request])
    return np.asarray(text.experts[low : low + int(text.lengths[request])])


def test_decode_tokens_alone_are_replayed(tmp_path: Path) -> None:
    traces = [routed(n, seed=n) for n in (9, 4, 6)]
    written(tmp_path / "t", *(request(ids, prompt=4) for ids in traces), shape=Shape(5, 16, 4, 5))
    text, notes = replay.text(tmp_path / "t", **SHAPE)
    assert text.requests == 2
    np.testing.assert_array_equal(rows(text, 0), traces[0][4:])
    np.testing.assert_array_equal(rows(text, 1), traces[2][4:])
    assert isinstance(text.experts, np.memmap)
    assert "1 of the trace's 3 requests have no token to replay." in notes


def test_the_longest_stretch_without_missing_rows_stands_for_its_request(tmp_path: Path) -> None:
    ids = routed(20)
    ids[[5, 12], 1, 0] = -1
    ids[2] = -1
    written(tmp_path / "t", request(ids, prompt=1), request(routed(3, seed=9)))
    text, notes = replay.text(tmp_path / "t")
    np.testing.assert_array_equal(rows(text, 0), ids[13:])
    np.testing.assert_array_equal(rows(text, 1), routed(3, seed=9))
    assert "9 tokens of requests with missing rows are left out" in notes[0]


def test_tokens_without_a_phase_are_replayed_and_it_says_so(tmp_path: Path) -> None:
    ids = routed(9)
    written(tmp_path / "t", Request(ids=ids, phase=np.full(9, UNKNOWN, np.int8), place="made up"))
    text, notes = replay.text(tmp_path / "t")
    np.testing.assert_array_equal(rows(text, 0), ids)
    assert "does not tell prompt from decode" in notes[0]


def test_all_that_keeps_a_trace_from_being_replayed_is_said_at_once(tmp_path: Path) -> None:
    written(tmp_path / "t", request(routed(9), prompt=9))
    with pytest.raises(InputError) as caught:
        replay.text(tmp_path / "t", layers=7, experts=8, top_k=2)
    for said in ("5 layers, the target 7 MoE", "4 experts per token, the target top_k 2", "16 experts, the target 8"):
        assert said in str(caught.value)
    assert "no decode token with all its experts (9 prompt, 0 verify" in str(caught.value)


def test_experts_the_source_did_not_count_may_be_fewer_than_the_targets(tmp_path: Path) -> None:
    written(tmp_path / "guessed", request(routed(9)))
    written(tmp_path / "known", request(routed(9)), shape=Shape(5, 16, 4, 5))
    replay.text(tmp_path / "guessed", layers=5, experts=64, top_k=4)
    with pytest.raises(InputError, match="16 experts, the target 64"):
        replay.text(tmp_path / "known", layers=5, experts=64, top_k=4)


def test_an_imported_npz_is_the_same_text(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    file.write_bytes(packed(**made_up(layers=5, experts=16, top_k=4)))
    importers.read([file], tmp_path / "t")
    direct, (stored, notes) = npz.read(file), replay.read(tmp_path / "t")
    np.testing.assert_array_equal(direct.experts, stored.experts)
    np.testing.assert_array_equal(direct.start[:-1], stored.start)
    np.testing.assert_array_equal(direct.lengths, stored.lengths)
    assert notes == []
    assert replay.digest(file) == npz.digest(file) != replay.digest(tmp_path / "t")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("replicate", [None, 3])
def test_worlds_packed_one_by_one_count_what_a_pool_counts(tmp_path: Path, tail: str, replicate: int | None) -> None:
    """Requests shorter than the window too, whose positions run out."""
    written(tmp_path / "t", *(request(routed(n, experts=40, seed=n), prompt=1) for n in (3, 30, 7, 12)))
    text, _ = replay.text(tmp_path / "t")
    packed_once, lazily = Recording.of(text, 40), Recording.of(text, 40, pooled=0)
    assert packed_once.pool is not None
    assert lazily.pool is None
    for world in range(5):
        counted = [
            surface.replayed(
                recording,
                np.array([0.9, 0.7, 0.5]),
                seed=1,
                world=world,
                step=0,
                requests=4,
                batches=(1, 2, 4),
                tail=tail,
                replicate=replicate,
            )
            for recording in (packed_once, lazily)
        ]
        np.testing.assert_array_equal(*counted)
        assert counted[0].dtype == counted[1].dtype
        assert counted[0].max() > 4


def test_the_recorded_gpt_oss_trace_is_the_same_imported(tmp_path: Path, data: Path) -> None:
    """42 requests, 19,434 tokens, with the positions and categories of its file."""
    file = data / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing_small.npz"
    info = importers.read([file], tmp_path / "t", shape=Shape(24, 32, 4, 24))
    direct, (stored, notes) = npz.read(file), replay.text(tmp_path / "t", layers=24, experts=32, top_k=4)
    np.testing.assert_array_equal(direct.experts, stored.experts)
    np.testing.assert_array_equal(direct.lengths, stored.lengths)
    assert (info["requests"], info["tokens"], info["notes"], notes) == (42, 19_434, [], [])
