"""SGLang, llama.cpp and TensorRT-LLM: files of their documented layouts, with each trap planted, come back exactly."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance_files import ACCEPTED, histogram, refused, saved, survival
from traces.importers import acceptance


def sglang(accepted: list[int], name: str, *, length: int = 3, old: bool = False, **changed: Any) -> dict[str, Any]:
    """A response of SGLang's /generate: proposals leave the root out, the histogram its trailing zeros."""
    held = histogram(accepted, length)
    while held and held[-1] == 0:
        held.pop()
    names = ("spec_num_correct_drafts", "spec_num_proposed_drafts", "spec_correct_drafts_histogram")
    if old:
        names = ("spec_accept_token_num", "spec_draft_token_num", "spec_accept_histogram")
    completion = 1 + sum(accepted) + len(accepted)
    meta = {
        "id": name,
        "prompt_tokens": 5,
        "completion_tokens": completion,
        "spec_verify_ct": len(accepted),
        "spec_accept_length": completion / len(accepted),
        "spec_accept_rate": sum(accepted) / (length * len(accepted)),
        names[0]: sum(accepted),
        names[1]: length * len(accepted),
        names[2]: held,
    }
    return {"text": "...", "meta_info": meta | changed}


@pytest.mark.parametrize("old", [False, True])
def test_sglang_histograms_without_trailing_zeros_reach_the_draft_length(tmp_path: Path, old: bool) -> None:
    responses = [sglang(accepted, str(i), old=old) for i, accepted in enumerate(ACCEPTED)]
    log = acceptance.read([saved(tmp_path, "g.json", json.dumps(responses))])
    assert len(responses[1]["meta_info"]["spec_accept_histogram" if old else "spec_correct_drafts_histogram"]) == 2
    assert survival(log, request=0) == [4 / 6, 3 / 6, 2 / 6]
    assert survival(log, request=1) == [2 / 3, 0.0, 0.0]
    assert log.curves["draft_length"].to_list() == [3] * 9
    assert log.flags == ()  # request 0 accepted all three: no tree


def test_sglang_drafts_that_were_never_all_accepted_may_be_nodes_of_a_tree(tmp_path: Path) -> None:
    log = acceptance.read([saved(tmp_path, "g.json", sglang([1, 2, 0], "a", length=8))])
    assert log.flags == ("shape-unknown",)


def test_sglang_histograms_of_nothing_accepted_are_not_lost(tmp_path: Path) -> None:
    held = sglang([0, 0], "a", spec_num_proposed_drafts=None, spec_num_correct_drafts=None)
    log = acceptance.read([saved(tmp_path, "g.json", held)])
    assert log.curves.select("depth", "steps", "accepted").rows() == [(1, 2, 0)]


def test_sglang_adaptive_lengths_are_flagged(tmp_path: Path) -> None:
    uneven = sglang([3, 1], "a", spec_num_proposed_drafts=5)
    log = acceptance.read([saved(tmp_path, "g.json", uneven)])
    assert "varying-length" in log.flags
    assert log.curves["draft_length"].to_list() == [None] * 3
    two = sglang([3, 1], "a", spec_num_proposed_drafts=4, spec_proposed_drafts_histogram=[0, 1, 0, 1])
    assert "varying-length" in acceptance.read([saved(tmp_path, "h.json", two)]).flags


def test_sglang_detailed_statistics_count_root_and_bonus(tmp_path: Path) -> None:
    stats = {"verify_lengths": [4, 3, 4], "accept_lengths": [4, 1, 2]}
    held = sglang([3, 0, 1], "a", spec_num_proposed_drafts=8, speculative_decoding_stats=stats)
    log = acceptance.read([saved(tmp_path, "g.json", held)])
    assert log.steps["drafted"].to_list() == [3, 2, 3]
    assert log.steps["accepted"].to_list() == [3, 0, 1]
    assert log.flags == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spec_verify_ct": 4}, "histograms that do not sum to the verify steps (first: g.json line 1: 3, not 4)"),
        (
            {"spec_num_correct_drafts": 6},
            "histograms whose accepted drafts are not the total (first: g.json line 1: 3, not 6)",
        ),
        ({"spec_accept_length": 9.0}, "values of spec_accept_length that are not completion_tokens / spec_verify_ct"),
        (
            {"spec_correct_drafts_histogram": [1, "x"]},
            "lists spec_correct_drafts_histogram that are not of whole numbers",
        ),
    ],
)
def test_sglang_identities(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    assert said in refused(saved(tmp_path, "g.json", sglang([1, 2, 0], "a", **changed)))


START = (
    "server_args=ServerArgs(speculative_num_steps=3, speculative_eagle_topk={topk}, speculative_num_draft_tokens=4)\n"
)
DECODE = (
    "[2026-11-20 10:00:00 TP0] Decode batch. #running-req: {running}, #token: 999, token usage: 0.10, "
    "accept len: {tokens}, accept rate: 0.61, cuda graph: True, gen throughput (token/s): 900.1, #queue-req: 0\n"
)


def test_sglang_log_lines_are_weighted_by_requests_and_the_root_is_no_draft(tmp_path: Path) -> None:
    lines = [DECODE.format(running=8, tokens=2.5), DECODE.format(running=2, tokens=3.0)]
    log = acceptance.read([saved(tmp_path, "s.log", START.format(topk=1), *lines)])
    assert log.means["tokens_per_step"].to_list() == [pytest.approx(2.6)]
    assert log.means["draft_length"].to_list() == [3]
    assert log.flags == ("approximate",)
    only_nodes = START.replace("speculative_num_steps=3, ", "").format(topk=1)
    assert acceptance.read([saved(tmp_path, "t.log", only_nodes, *lines)]).means["draft_length"].to_list() == [3]
    assert acceptance.read([saved(tmp_path, "u.log", START.format(topk=4), *lines)]).flags == ("approximate", "tree")
    unknown = acceptance.read([saved(tmp_path, "v.log", *lines)])
    assert unknown.means["draft_length"].to_list() == [None]
    assert any("does not say the draft length" in note for note in unknown.notes)


LLAMA = (
    "slot print_timing: id  0 | task {task} | draft acceptance = 0.64479 (  {accepted} accepted /   {drafted} "
    "generated), mean acceptance length =  {mean:.2f}, acceptance rate per position = ({rates})\n"
)
STATISTICS = (
    "statistics draft-eagle3: #calls(b,g,a) = 1 {n} {n}, #gen drafts = {n}, #acc drafts = 70, #gen tokens = {drafted}, "
    "#acc tokens = {accepted}, #mean acc len = 2.92, #acc rate/pos = ({rates}), dur(b,g,a) = 0.001, 1.5, 0.02 ms\n"
)


def test_llama_cpp_requests_recover_their_steps(tmp_path: Path) -> None:
    """The example of the pull request: 87 drafts, 259 tokens generated, p_min cutting two of 261."""
    one = LLAMA.format(task=7, accepted=167, drafted=259, mean=2.92, rates="0.805, 0.632, 0.483")
    two = LLAMA.format(task=9, accepted=20, drafted=30, mean=3.0, rates="0.900, 0.700, 0.400")
    total = STATISTICS.format(n=97, drafted=289, accepted=187, rates="0.814, 0.639, 0.474")
    none = LLAMA.format(task=11, accepted=0, drafted=11, mean=1.0, rates="0.000, 0.000, 0.000")
    log = acceptance.read([saved(tmp_path, "llama.log", one, two, none, total)])  # the totals would count twice
    assert log.requests["id"].to_list() == ["7", "9", "11"]
    assert log.curves["steps"].to_list() == [87] * 3 + [10] * 3 + [4] * 3
    assert log.curves["accepted"].to_list() == [70, 55, 42, 9, 7, 4, 0, 0, 0]
    assert log.flags == ("approximate", "varying-length")


def test_llama_cpp_statistics_run_since_the_start_and_begin_anew_with_it(tmp_path: Path) -> None:
    lines = [
        STATISTICS.format(n=10, drafted=30, accepted=15, rates="0.800, 0.500, 0.200"),
        STATISTICS.format(n=100, drafted=300, accepted=150, rates="0.800, 0.500, 0.200"),
        STATISTICS.format(n=20, drafted=60, accepted=12, rates="0.500, 0.100, 0.000"),  # after a restart
    ]
    log = acceptance.read([saved(tmp_path, "llama.log", *lines)])
    assert log.curves["steps"].to_list() == [120] * 3
    assert log.curves["accepted"].to_list() == [90, 52, 20]
    assert log.flags == ()


def test_older_llama_cpp_lines_and_timings_are_rates_only(tmp_path: Path) -> None:
    old = saved(tmp_path, "old.log", "draft acceptance rate = 0.57576 (  171 accepted /   297 generated)\n")
    assert acceptance.read([old]).means.select("accepted", "drafted", "steps").row(0) == (171, 297, None)
    new = saved(tmp_path, "t.jsonl", {"content": "", "timings": {"prompt_n": 4, "draft_n": 9, "draft_n_accepted": 5}})
    log = acceptance.read([new])
    assert log.means.select("accepted", "drafted", "steps").row(0) == (5, 9, None)
    assert log.requests["prompt_tokens"].to_list() == [4]


def test_llama_cpp_hazards_are_refused(tmp_path: Path) -> None:
    line = LLAMA.format(task=7, accepted=167, drafted=259, mean=2.92, rates="0.805, 0.785, 0.764")
    assert "are they hazards?" in refused(saved(tmp_path, "llama.log", line))


def iteration(requests: int, drafted: int, accepted: int, rank: int = 0, **changed: Any) -> dict[str, Any]:
    """A row of TensorRT-LLM's iteration statistics."""
    stats = {
        "numDraftTokens": drafted,
        "numAcceptedTokens": accepted,
        "numRequestsWithDraftTokens": requests,
        "acceptanceLength": (accepted + requests) / requests if requests else 0.0,
        "iterLatencyMS": 2.0,
        "draftOverhead": 0.1,
    }
    return {"iter": 1, "iterLatencyMS": 20.0, "attentionDpRank": rank, "specDecodingStats": stats | changed}


def test_tensorrt_llm_iterations_are_summed_once(tmp_path: Path) -> None:
    rows = [iteration(4, 12, 7), iteration(4, 12, 7, rank=1), iteration(0, 0, 0), iteration(2, 6, 6), {"iter": 9}]
    log = acceptance.read([saved(tmp_path, "stats.jsonl", *rows)])
    assert log.means.select("steps", "drafted", "accepted", "draft_length").row(0) == (6, 18, 13, 3)
    assert log.means["tokens_per_step"].to_list() == [1 + 13 / 6]
    assert log.flags == ()  # an iteration accepted every draft: no tree
    assert any("1 rows of other attention ranks" in note for note in log.notes)
    assert acceptance.read([saved(tmp_path, "v.jsonl", rows[0], iteration(2, 5, 3))]).flags == (
        "shape-unknown",
        "varying-length",
    )


def test_tensorrt_llm_acceptance_that_never_varies_is_suspect(tmp_path: Path) -> None:
    """Forced acceptance counts drafts: 2 forced drafts emit 3 tokens a step, every time."""
    forced = [iteration(n, 3 * n, 2 * n) for n in range(1, 31)]
    assert acceptance.read([saved(tmp_path, "f.jsonl", *forced)]).flags == ("shape-unknown", "suspected-synthetic")
    natural = [*forced[:-1], iteration(4, 12, 7)]
    assert acceptance.read([saved(tmp_path, "n.jsonl", *natural)]).flags == ("shape-unknown",)


def test_tensorrt_llm_lengths_without_the_bonus_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "f.jsonl", iteration(4, 12, 8, acceptanceLength=2.0), iteration(4, 12, 8))
    assert (
        "1 values of acceptanceLength that are not (accepted + requests) / requests (first: f.jsonl line 1"
        in refused(path)
    )
