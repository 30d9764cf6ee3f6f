"""Logs of hooks, Megatron's router trace and ESFT's scores: written as documented, with known content."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.routing_traces import imported, lines, refused, routed


def routes(ids: np.ndarray, name: str | None = "r0", first: int = 0, layers: tuple[int, ...] = ()) -> list[Any]:
    """The vLLM logger's lines of one request, layer by layer within a token."""
    depths = layers or tuple(range(ids.shape[1]))
    return [
        {"type": "route", "req_id": name, "token_idx": first + t, "layer": layer, "topk_ids": row.tolist()}
        | {"topk_weights": [0.1] * len(row)}
        for t, rows in enumerate(ids)
        for layer, row in zip(depths, rows, strict=True)
    ]


META = {"type": "meta", "model_id": "org/model", "top_k": 4, "layers_logged": [3, 7, 8]}


def test_route_logs_of_interleaved_requests(tmp_path: Path) -> None:
    one, two = routed(9, layers=3, seed=1), routed(6, layers=3, seed=2)
    mixed = [*routes(one, "a", layers=(3, 7, 8)), *routes(two, "b", first=20, layers=(3, 7, 8))]
    order = np.random.default_rng(0).permutation(len(mixed))
    found = imported(tmp_path, lines(tmp_path / "log", META, *(mixed[i] for i in order)))
    by_name = dict(zip(found.requests["id"], found.ids, strict=True))
    np.testing.assert_array_equal(by_name["a"], one)
    np.testing.assert_array_equal(by_name["b"], two)
    assert sorted(positions[0] for positions in found.positions) == [0, 20]
    assert found.info["layers"] == [3, 7, 8]
    assert (found.info["format"], found.info["model"]) == ("log", "org/model")
    assert found.phases[0][0] is None


@pytest.mark.parametrize("name", [None, "dummy"])
def test_the_profile_run_at_the_head_of_a_log_is_left_out(tmp_path: Path, name: str | None) -> None:
    dummy, ids = np.tile(routed(1, seed=9), (500, 1, 1)), routed(8)
    found = imported(tmp_path, lines(tmp_path / "log", META, *routes(dummy, name), *routes(ids, "a")))
    assert len(found.ids) == 1
    np.testing.assert_array_equal(found.ids[0], ids)
    assert "500 leading rows are all the same: a warm-up pass" in found.notes


def test_rows_that_were_not_logged_are_missing(tmp_path: Path) -> None:
    ids = routed(9)
    logged = [line for line in routes(ids) if (line["token_idx"], line["layer"]) not in {(3, 1), (5, 0)}]
    found = imported(tmp_path, lines(tmp_path / "log", *logged))
    ids[3, 1] = ids[5, 0] = -1
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.info["tokens_missing"] == 2


def test_rows_that_come_again_after_a_preemption_replace_the_first(tmp_path: Path) -> None:
    before, ids = routed(3, seed=5), routed(9)
    found = imported(tmp_path, lines(tmp_path / "log", *routes(before), *routes(ids)))
    np.testing.assert_array_equal(found.ids[0], ids)
    assert "15 rows came again (first: log request r0)" in found.notes


def test_faults_of_a_log_come_at_once(tmp_path: Path) -> None:
    good = routes(routed(9))
    wrong = [good[0] | {"topk_ids": [1, 2]}, good[0] | {"layer": 1.5}, good[0] | {"topk_ids": 3}, {"type": "route"}]
    gap = [good[0] | {"req_id": "gap"}, good[0] | {"req_id": "gap", "token_idx": 10_000_000}]
    message = refused(tmp_path, lines(tmp_path / "log", *good, *wrong, *gap))
    for said in (
        "1 rows of another top_k than the first's 4 (first: log line 46: 2)",
        "1 rows whose token, layer or experts are no whole numbers (first: log line 47)",
        "1 lines whose experts are no list (first: log line 48)",
        "1 lines that lack a token, a layer or experts (first: log line 49)",
        "1 requests whose tokens are mostly not there (first: log request gap",
    ):
        assert said in message


def test_moe_cache_lab_splits_prompt_and_decode(tmp_path: Path) -> None:
    """Prompts go layer by layer, decode token by token; requests are not named, and begin again at their positions."""
    one, two = routed(9, seed=1), routed(7, seed=2)

    def records(ids: np.ndarray, prompt: int) -> list[Any]:
        order = [(t, layer) for layer in range(5) for t in range(prompt)]
        order += [(t, layer) for t in range(prompt, len(ids)) for layer in range(5)]
        return [
            {
                "record_type": "routing_selection",
                "layer": layer,
                "phase": "prompt" if t < prompt else "decode",
                "token_id": 7,
                "token_position": t,
                "selected_experts": ids[t, layer].tolist(),
                "selected_probabilities": [0.25] * 4,
            }
            for t, layer in order
        ]

    head = {"record_type": "metadata", "schema_version": 1, "model": "m"}
    found = imported(tmp_path, lines(tmp_path / "log", head, *records(one, 4), *records(two, 3)))
    np.testing.assert_array_equal(found.ids[0], one)
    np.testing.assert_array_equal(found.ids[1], two)
    assert found.phases == [["prompt"] * 4 + ["decode"] * 5, ["prompt"] * 3 + ["decode"] * 4]


def test_router_analyzer_is_decode_from_its_first_position_on(tmp_path: Path) -> None:
    ids = routed(9)
    data = [
        {f"token_{502 + t}": {f"layer_{n}": {"selected_experts": row.tolist(), "selected_probs": [0.25] * 4}}}
        for t, rows in enumerate(ids)
        for n, row in enumerate(rows)
    ]
    (tmp_path / "examples.json").write_text(json.dumps({"prompt": "...", "router_data": data}))
    found = imported(tmp_path, tmp_path / "examples.json")
    np.testing.assert_array_equal(found.ids[0], ids)
    assert found.positions[0] == list(range(502, 511))
    assert set(found.phases[0]) == {"decode"}


def test_csv_of_one_expert_a_line(tmp_path: Path) -> None:
    one, two = routed(9, seed=1), routed(4, seed=2)
    text = "token,layer,expert,t_ns\n" + "".join(
        f"{t},{2 * layer + 1},{expert},{17}\n"
        for ids in (one, two)
        for t, rows in enumerate(ids)
        for layer, row in enumerate(rows)
        for expert in row
    )
    (tmp_path / "log.csv").write_text(text)
    found = imported(tmp_path, tmp_path / "log.csv")
    np.testing.assert_array_equal(found.ids[0], one)
    np.testing.assert_array_equal(found.ids[1], two)
    assert (found.info["format"], found.info["layers"]) == ("csv", [1, 3, 5, 7, 9])
    (tmp_path / "bad").mkdir()
    broken = text.splitlines()
    broken[61], broken[64] = "3,one,2,17", "3"
    (tmp_path / "bad" / "log.csv").write_text("\n".join(broken))
    message = refused(tmp_path / "bad", tmp_path / "bad" / "log.csv")
    assert "2 lines that are not token,layer,expert (first: log.csv line 62)" in message


def megatron(step: int, ids: np.ndarray, rank: int = 0, block: str = "decoder") -> list[Any]:
    """ids [rows, layers, top_k] of one step."""
    return [
        {"step": step, "stage": "pre_dispatch", "block": block, "layer": 2 + layer, "rank": rank}
        | {"num_tokens": len(ids), "topk": ids.shape[2], "top_indices": ids[:, layer].tolist()}
        for layer in range(ids.shape[1])
    ]


def test_megatron_decode_steps_are_followed_by_slot(tmp_path: Path) -> None:
    """A prompt of 30 rows, 6 steps of 3 slots, a prompt again, 4 steps of 2."""
    first, second = [routed(6, seed=n) for n in range(3)], [routed(4, seed=10 + n) for n in range(2)]
    steps = [routed(30), *np.stack(first, axis=1), routed(17), *np.stack(second, axis=1)]
    records = [line for step, ids in enumerate(steps) for line in megatron(step, ids)]
    records += megatron(3, routed(3, seed=99), block="mtp")
    found = imported(tmp_path, lines(tmp_path / "router_trace_rank0.jsonl", *records))
    for given, read in zip([*first, *second], found.ids, strict=True):
        np.testing.assert_array_equal(given, read)
    assert set(found.phases[0]) == {"decode"}
    assert found.info["layers"] == [2, 3, 4, 5, 6]
    assert "47 tokens of steps that are no decode steps" in found.notes
    assert "multi-token prediction are left out" in found.notes


def test_megatron_ranks_that_wrote_the_same_are_read_once(tmp_path: Path) -> None:
    steps = [routed(3, seed=n) for n in range(4)]
    for rank, of in ((0, steps), (1, steps), (2, [ids[::-1] for ids in steps])):
        records = [line for step, ids in enumerate(of) for line in megatron(step, ids, rank)]
        lines(tmp_path / f"router_trace_rank{rank}.jsonl", *records)
    found = imported(tmp_path, tmp_path)
    assert len(found.ids) == 6
    np.testing.assert_array_equal(found.ids[0], found.ids[5])
    assert "read once" in found.notes


def test_megatron_faults_and_steps_of_training(tmp_path: Path) -> None:
    broken = megatron(1, routed(3))
    broken[2]["top_indices"] = broken[2]["top_indices"][:2]
    message = refused(tmp_path, lines(tmp_path / "router_trace_rank0.jsonl", *megatron(0, routed(3)), *broken))
    assert "1 lines that are no record of a router (first: router_trace_rank0.jsonl line 8" in message
    assert "1 steps whose layers differ from the first's, or in their rows" in message
    training = [line for step in range(3) for line in megatron(step, routed(1100, layers=2, seed=step))]
    (tmp_path / "other").mkdir()
    assert "no request" in refused(tmp_path, lines(tmp_path / "other" / "router_trace_rank0.jsonl", *training))


def esft(folder: Path, sequences: list[np.ndarray], layers: tuple[int, ...] = (1, 2, 26)) -> None:
    folder.mkdir(parents=True)
    for n, layer in enumerate(layers):
        text = ""
        for ids in sequences:
            weights = np.linspace(0.01, 0.3, ids[:, n].size)
            text += "\t".join(map(str, ids[:, n].ravel())) + "\t\t" + "\t".join(f"{w:.4f}" for w in weights) + "\n"
        (folder / f"expert_weights_{layer}.txt").write_text(text)


def test_esft_lines_are_sequences_across_the_layers_files(tmp_path: Path) -> None:
    sequences = [routed(n, layers=3, experts=64, top_k=6, seed=n) for n in (9, 1, 30)]
    esft(tmp_path / "scores" / "law", sequences)
    esft(tmp_path / "scores" / "intent", sequences[:1])
    found = imported(tmp_path, tmp_path / "scores")
    for given, read in zip([sequences[0], *sequences], found.ids, strict=True):
        np.testing.assert_array_equal(given, read)
    assert found.requests["category"].to_list() == ["intent", "law", "law", "law"]
    assert (found.info["format"], found.info["layers"]) == ("esft", [1, 2, 26])
    assert "not split into prompt and decode" in found.notes


def test_esft_faults_come_at_once(tmp_path: Path) -> None:
    esft(tmp_path / "s", [routed(n, layers=3, experts=64, top_k=6) for n in (9, 8, 7)])
    file = tmp_path / "s" / "expert_weights_2.txt"
    text = file.read_text().split("\n")
    text[0] = text[0].partition("\t")[2]
    file.write_text("\n".join(text))
    last = tmp_path / "s" / "expert_weights_26.txt"
    last.write_text("".join(last.read_text().splitlines(keepends=True)[:2]))
    message = refused(tmp_path, tmp_path / "s")
    assert "1 lines are not 6 ids per token and as many weights (first: s/expert_weights_2.txt line 1)" in message
    assert "1 files end before the others of their folder (first: s/expert_weights_26.txt line 3)" in message


def test_real_lines_of_esft(tmp_path: Path, data: Path) -> None:
    """Two sequences of DeepSeek-V2-Lite; ids in the order in which the file holds them."""
    folder = data / "routing" / "esft-raw" / "raw_fixture" / "translation"
    found = imported(tmp_path, folder)
    assert found.info["layers"] == [1, 2, 26]
    assert found.ids[0][0, 0].tolist() == [8, 26, 56, 57, 60, 11]
    for number, line in enumerate((folder / "expert_weights_26.txt").read_text().splitlines()):
        given = [int(n) for n in line.split("\t\t")[0].split("\t")]
        assert found.ids[number][:, 2].ravel().tolist() == given
    assert found.info["top_k"] == 6
    assert max(ids.max() for ids in found.ids) < 64
