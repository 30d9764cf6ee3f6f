"""vLLM's responses: written from their documentation, each trap with known content that must come back."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.routing_traces import imported, lines, npy, refused, routed
from traces.request import Shape


def response(ids: np.ndarray, prompt: int, name: str = "cmpl-1", dtype: Any = np.uint8, **more: Any) -> dict[str, Any]:
    """A completion with `return_token_ids`: tokens are the rows + 1, since the last was never forwarded."""
    generated = len(ids) + 1 - prompt
    choice = {
        "index": 0,
        "text": "...",
        "prompt_token_ids": list(range(prompt)),
        "token_ids": list(range(generated)),
        "routed_experts": base64.b64encode(npy(ids.astype(dtype))).decode(),
    }
    usage = {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
    return {"id": name, "object": "text_completion", "choices": [choice], "usage": usage} | more


def nested(ids: np.ndarray, prompt: int, name: str = "cmpl-1") -> dict[str, Any]:
    """The 0.21 form: prompt and generated rows as nested lists, apart."""
    return {
        "id": name,
        "prompt_routed_experts": ids[:prompt].tolist(),
        "choices": [{"index": 0, "routed_experts": ids[prompt:].tolist()}],
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_base64_npy_comes_back_with_prompt_and_decode_apart(tmp_path: Path, dtype: Any) -> None:
    one, two = routed(9, seed=1), routed(6, seed=2)
    file = lines(tmp_path / "log", response(one, 4, "a", dtype, category="code"), response(two, 2, "b", dtype))
    found = imported(tmp_path, file)
    np.testing.assert_array_equal(found.ids[0], one)
    np.testing.assert_array_equal(found.ids[1], two)
    assert found.phases == [["prompt"] * 4 + ["decode"] * 5, ["prompt"] * 2 + ["decode"] * 4]
    assert found.positions == [list(range(9)), list(range(6))]
    assert found.requests["id"].to_list() == ["a", "b"]
    assert found.requests["category"].to_list() == ["code", None]
    assert found.requests["prompt_tokens"].to_list() == [4, 2]
    assert found.info["format"] == "vllm"
    assert (found.info["top_k"], found.info["layers"]) == (4, [0, 1, 2, 3, 4])
    assert "rejected drafts" in found.notes


def test_rows_for_the_last_sampled_token_are_accepted_too(tmp_path: Path) -> None:
    ids = routed(9)
    full = response(ids, 4)
    full["choices"][0]["token_ids"] = list(range(5))
    full["usage"]["completion_tokens"] = 5
    found = imported(tmp_path, lines(tmp_path / "log", full))
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.phases == [["prompt"] * 4 + ["decode"] * 5]


def test_rows_that_do_not_fit_the_tokens_are_refused_with_counts_and_first_place(tmp_path: Path) -> None:
    good, short, long = response(routed(9), 4), response(routed(8), 4), response(routed(11), 4)
    for wrong in (short, long):
        wrong["choices"][0]["token_ids"] = list(range(6))
    missing = {"id": "x", "choices": [{"text": "..."}]}
    message = refused(tmp_path, lines(tmp_path / "log.jsonl", good, short, missing, long))
    assert "2 responses with neither prompt + generated - 1 rows nor one more" in message
    assert "first: log.jsonl line 2: 8 rows, 4 + 6 tokens" in message
    assert "1 responses without routed_experts (first: log.jsonl line 3)" in message


@pytest.mark.parametrize("extra", [0, 1])
def test_nested_lists_of_prompt_and_generated_are_joined(tmp_path: Path, extra: int) -> None:
    ids = routed(8 + extra)
    document = nested(ids, 3)
    document["choices"][0]["token_ids"] = [1] * (6)
    found = imported(tmp_path, lines(tmp_path / "log", document))
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.phases[0] == ["prompt"] * 3 + ["decode"] * (5 + extra)


def test_offline_outputs_in_an_array_of_one_file(tmp_path: Path) -> None:
    """A pretty-printed array, read one element at a time."""
    traces = [routed(4 + n, seed=n) for n in range(3)]
    documents = [
        {"request_id": str(n), "prompt_token_ids": [1, 2], "outputs": [{"routed_experts": ids.tolist()}]}
        for n, ids in enumerate(traces)
    ]
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(documents, indent=2))
    found = imported(tmp_path, file)
    for given, read in zip(traces, found.ids, strict=True):
        np.testing.assert_array_equal(given, read)
    assert found.requests["id"].to_list() == ["0", "1", "2"]


def test_one_pretty_printed_response(tmp_path: Path) -> None:
    file = tmp_path / "response.json"
    file.write_text(json.dumps(response(routed(9), 4), indent=2))
    np.testing.assert_array_equal(imported(tmp_path, file).ids[0], routed(9))


def test_several_choices_are_requests_of_their_own_and_usage_is_not_theirs(tmp_path: Path) -> None:
    one, two = routed(9, seed=1), routed(7, seed=2)
    both = response(one, 4)
    both["choices"].append(response(two, 4)["choices"][0] | {"index": 1})
    both["usage"]["completion_tokens"] = 6 + 4
    for choice in both["choices"]:
        del choice["token_ids"]
    found = imported(tmp_path, lines(tmp_path / "log", both))
    np.testing.assert_array_equal(found.ids[1], two)
    assert found.requests["id"].to_list() == ["cmpl-1/0", "cmpl-1/1"]


def test_lines_of_a_batch_hold_the_response_in_their_body(tmp_path: Path) -> None:
    line = {"custom_id": "q-7", "response": {"status_code": 200, "body": response(routed(9), 4)}}
    found = imported(tmp_path, lines(tmp_path / "batch.jsonl", line))
    np.testing.assert_array_equal(found.ids[0], routed(9))
    assert found.requests["id"].to_list() == ["q-7"]


def test_dense_layers_recorded_as_zeros_are_left_out_and_named(tmp_path: Path) -> None:
    ids = routed(9, layers=6)
    ids[:, :2] = 0
    ids[:, 4] = np.arange(4)
    found = imported(tmp_path, lines(tmp_path / "log", response(ids, 4)))
    np.testing.assert_array_equal(found.ids[0], ids[:, [2, 3, 5]])
    assert found.info["layers"] == [2, 3, 5]
    assert "are left out: 0-1, 4." in found.notes


def test_all_layers_route_where_the_target_says_so(tmp_path: Path) -> None:
    """A router that always picks the same experts is kept: the layers are as many as the target's."""
    ids = routed(40, layers=3)
    ids[:, 1] = [3, 1, 0, 2]
    found = imported(tmp_path, lines(tmp_path / "log", response(ids, 4)), shape=Shape(3, 16, 4, 5))
    np.testing.assert_array_equal(found.ids[0], ids)


def test_rows_of_the_prefix_cache_are_kept_as_missing_and_counted(tmp_path: Path) -> None:
    ids = routed(9)
    ids[:3] = -1
    found = imported(tmp_path, lines(tmp_path / "log", nested(ids, 5)))
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.info["tokens_missing"] == 3
    assert "3 tokens lack experts" in found.notes


def test_a_fused_shared_expert_is_left_out_wherever_its_slot_is(tmp_path: Path) -> None:
    ids = routed(9)
    fused = np.concatenate([ids, np.full((9, 5, 1), 16)], axis=2)
    slots = np.argsort(np.random.default_rng(0).random(fused.shape), axis=2)
    mixed = np.take_along_axis(fused, slots, axis=2)
    for shape in (Shape(5, 16, 4, 5), None):
        found = imported(tmp_path / str(shape), _put(tmp_path, response(mixed, 4)), shape=shape)
        np.testing.assert_array_equal(np.sort(found.ids[0]), np.sort(ids))
        assert (found.info["top_k"], found.info["experts"]) == (4, 16)
        assert "Expert 16 is in every row: a fused shared expert" in found.notes


def _put(tmp_path: Path, *documents: Any) -> Path:
    return lines(tmp_path / "log.jsonl", *documents)


def test_physical_ids_beyond_the_experts_are_refused(tmp_path: Path) -> None:
    ids = routed(9)
    ids[2, 1, 3], ids[7, 1, 0], ids[5, 0, 2] = 20, 19, 17
    message = refused(tmp_path, _put(tmp_path, response(ids, 4)), shape=Shape(5, 16, 4, 5))
    assert "3 expert ids are beyond the 16 experts" in message
    assert "physical" in message
    assert "log.jsonl line 1, token 5, layer 0" in message


def test_experts_in_no_order_come_back_in_theirs(tmp_path: Path) -> None:
    ids = np.sort(routed(9), axis=2)[:, :, ::-1]
    np.testing.assert_array_equal(imported(tmp_path, _put(tmp_path, response(ids, 4))).ids[0], ids)


def test_all_faults_come_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    twice, other = routed(9), routed(9, layers=4)
    twice[3, 2] = [1, 1, 2, 3]
    twice[4, 2] = [1, 2, 2, 3]
    pickled = response(routed(9), 4)
    pickled["choices"][0]["routed_experts"] = base64.b64encode(npy(np.array([{}], object))).decode()
    file = _put(tmp_path, response(twice, 4), response(other, 4), pickled)
    file.write_text(file.read_text() + '{"id": \n')
    message = refused(tmp_path, file, shape=Shape(7, 16, 4, 7))
    assert str(file) in message
    for said in (
        "2 rows name an expert twice (first: log.jsonl line 1, token 3, layer 2: [1, 1, 2, 3])",
        "1 requests of other layers x top_k than the first's 5 x 4 (first: log.jsonl line 2: 4 x 4)",
        "1 routed_experts that are no array [tokens, layers, top_k] (first: log.jsonl line 3)",
        "1 lines are no JSON (first: log.jsonl line 4",
        "it has 5 MoE layers, the target 7",
    ):
        assert said in message


def test_more_than_255_experts_take_two_bytes(tmp_path: Path) -> None:
    ids = routed(40, experts=300)
    assert ids.max() > 255
    found = imported(tmp_path, _put(tmp_path, response(ids, 4, dtype=np.uint16)))
    np.testing.assert_array_equal(found.ids[0], ids)


def test_raw_arrays_are_one_request_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    for n in range(3):
        (folder / f"r{n}.npy").write_bytes(npy(routed(5 + n, seed=n).astype(np.int16)))
    found = imported(tmp_path, folder)
    for n, ids in enumerate(found.ids):
        np.testing.assert_array_equal(ids, routed(5 + n, seed=n))
    assert found.info["format"] == "npy"
    assert found.phases[0] == [None] * 5
