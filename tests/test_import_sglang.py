"""SGLang's responses: raw int32 in base64, whose shape only the target knows."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.routing_traces import imported, lines, refused, routed
from traces.request import Shape

DENSE, SHAPE = 2, Shape(layers=5, experts=16, top_k=4, depth=7)


def recorded(ids: np.ndarray) -> np.ndarray:
    """All layers of the model: dense ones are zeros."""
    return np.concatenate([np.zeros((len(ids), DENSE, ids.shape[2]), np.int64), ids], axis=1)


def raw(ids: np.ndarray) -> str:
    return base64.b64encode(ids.astype("<i4").tobytes()).decode()


def generate(ids: np.ndarray, prompt: int, tokens: int | None = None) -> dict[str, Any]:
    """/generate; `tokens`: of the whole sequence, where it is not the rows + 1."""
    completion = (tokens or len(ids) + 1) - prompt
    meta = {"id": "r1", "prompt_tokens": prompt, "completion_tokens": completion, "routed_experts": raw(ids)}
    return {"text": "...", "meta_info": meta}


@pytest.mark.parametrize("dense", [True, False], ids=["all layers", "MoE layers"])
def test_generate_comes_back(tmp_path: Path, dense: bool) -> None:
    ids = routed(9)
    file = lines(tmp_path / "log", generate(recorded(ids) if dense else ids, 4))
    found = imported(tmp_path, file, shape=SHAPE)
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.phases[0] == ["prompt"] * 4 + ["decode"] * 5
    assert found.info["format"] == "sglang"
    assert found.info["layers"] == ([2, 3, 4, 5, 6] if dense else [0, 1, 2, 3, 4])
    assert found.info["experts_known"] is True
    assert "rejected drafts" in found.notes


def test_openai_endpoints(tmp_path: Path) -> None:
    ids = routed(9)
    choices = [{"index": 0, "sgl_ext": {"routed_experts": raw(recorded(ids))}}]
    document = {"id": "c", "choices": choices, "usage": {"prompt_tokens": 4, "completion_tokens": 6}}
    found = imported(tmp_path, lines(tmp_path / "log", document), shape=SHAPE)
    np.testing.assert_array_equal(found.ids[0], ids)


def test_a_list_of_responses_in_one_line(tmp_path: Path) -> None:
    one, two = routed(9, seed=1), routed(5, seed=2)
    file = tmp_path / "log.jsonl"
    lines(file, {"note": "x"} | generate(recorded(one), 4), [generate(recorded(two), 2)])
    found = imported(tmp_path, file, shape=SHAPE)
    np.testing.assert_array_equal(found.ids[1], two)


def test_rows_that_begin_later_keep_their_positions(tmp_path: Path) -> None:
    """routed_experts_start_len = 3."""
    ids = routed(9)
    document = generate(recorded(ids)[3:], 4, tokens=10)
    found = imported(tmp_path, lines(tmp_path / "log", document), shape=SHAPE)
    np.testing.assert_array_equal(found.ids[0], ids[3:])
    assert found.positions[0] == [3, 4, 5, 6, 7, 8]
    assert found.phases[0] == ["prompt"] + ["decode"] * 5
    assert "cut in front" in found.notes


def test_a_fused_shared_slot_is_found_by_the_number_of_tokens(tmp_path: Path) -> None:
    ids = routed(14)  # 14 x 7 x 5 ids would also be whole tokens of other shapes
    fused = np.concatenate([recorded(ids), np.full((14, 7, 1), 16)], axis=2)
    fused[:, :DENSE] = 0
    found = imported(tmp_path, lines(tmp_path / "log", generate(fused, 4)), shape=SHAPE)
    np.testing.assert_array_equal(found.ids[0], ids)
    assert "fused shared expert" in found.notes


def test_padded_rows_are_missing(tmp_path: Path) -> None:
    ids = routed(9)
    ids[7:] = -1
    found = imported(tmp_path, lines(tmp_path / "log", generate(ids, 4)), shape=SHAPE)
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.info["tokens_missing"] == 2


def test_without_a_target_it_says_to_give_one(tmp_path: Path) -> None:
    assert "--target" in refused(tmp_path, lines(tmp_path / "log", generate(recorded(routed(9)), 4)))


def test_ids_that_are_no_whole_tokens_of_the_target(tmp_path: Path) -> None:
    broken, cut = generate(recorded(routed(9)), 4), generate(recorded(routed(9)), 4)
    broken["meta_info"]["routed_experts"] = raw(routed(9).ravel()[:-3])
    cut["meta_info"]["routed_experts"] = raw(routed(9))[:-3]
    message = refused(tmp_path, lines(tmp_path / "log", broken, cut), shape=SHAPE)
    assert "1 responses whose ids are no whole tokens" in message
    assert "first: log line 1: 177 ids" in message
    assert "7 layers (MoE: 5) x top_k 4" in message
    assert "1 responses without routed_experts in base64 of int32 (first: log line 2)" in message
