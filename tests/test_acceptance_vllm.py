"""vLLM's acceptance: files written from their documented layouts, with each trap planted, come back exactly."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.acceptance_files import ACCEPTED, histogram, refused, saved, survival
from traces.importers import acceptance

DRAFTED = [[3, 3, 3, 3, 3, 1], [3, 3, 3], [3, 2, 3, 3]]  # two steps drafted less than 3


def vllm(
    accepted: list[int], drafted: list[int], name: str, *, detailed: bool = True, **changed: Any
) -> dict[str, Any]:
    """A response of vLLM with `--per-request-spec-decode-metrics`, its records as its documentation shows them."""
    record: dict[str, Any] = {
        "mean_acceptance_length": 1 + sum(accepted) / len(accepted),
        "draft_acceptance_rate": sum(accepted) / sum(drafted),
        "acceptance_histogram": histogram(accepted),
        "num_spec_steps": len(accepted),
        "num_accepted_draft_tokens": sum(accepted),
        "num_draft_tokens": sum(drafted),
        "num_spec_tokens": 3,
    }
    if detailed:
        record |= {"per_step_accepted": accepted, "per_step_drafted": drafted}
    usage = {"prompt_tokens": 17, "completion_tokens": sum(accepted) + len(accepted) - 1}
    return {
        "id": name,
        "choices": [{"text": "..."}],
        "usage": usage,
        "metrics": {"speculative_decoding": record | changed},
    }


def vllm_file(folder: Path, *, detailed: bool = True, **changed: Any) -> Path:
    pairs = zip(ACCEPTED, DRAFTED, strict=True)
    return saved(
        folder, "r.jsonl", *(vllm(a, d, f"cmpl-{i}", detailed=detailed, **changed) for i, (a, d) in enumerate(pairs))
    )


def test_vllm_detailed_records_are_steps_with_their_own_drafted_lengths(tmp_path: Path) -> None:
    log = acceptance.read([vllm_file(tmp_path)])
    for request, (accepted, drafted) in enumerate(zip(ACCEPTED, DRAFTED, strict=True)):
        own = log.steps.filter(pl.col("request") == request)
        assert own["accepted"].to_list() == accepted
        assert own["drafted"].to_list() == drafted
        assert own["step"].to_list() == list(range(len(accepted)))
        assert own["cut"].to_list() == [False] * (len(accepted) - 1) + [True]
    assert log.requests["id"].to_list() == ["cmpl-0", "cmpl-1", "cmpl-2"]
    assert log.requests["prompt_tokens"].to_list() == [17, 17, 17]
    assert (log.flags, log.curves.height) == ((), 0)


def test_vllm_summaries_are_survival_by_request_and_say_that_lengths_varied(tmp_path: Path) -> None:
    log = acceptance.read([vllm_file(tmp_path, detailed=False)])
    assert log.steps.is_empty()
    assert survival(log, request=0) == [4 / 6, 3 / 6, 2 / 6]
    assert survival(log, request=1) == [2 / 3, 0.0, 0.0]  # depths nothing reached are there, with survival 0
    assert log.curves.filter(pl.col("request") == 2)["accepted"].to_list() == [1, 1, 0]
    assert log.flags == ("varying-length",)
    assert any("In 2 requests draft lengths vary" in note for note in log.notes)


def test_vllm_streams_and_responses_without_a_record(tmp_path: Path) -> None:
    chunk = "data: " + json.dumps({"id": "a", "object": "chat.completion.chunk", "choices": [{"delta": {}}]}) + "\n\n"
    last = "data: " + json.dumps(vllm([1, 3], [3, 3], "a") | {"choices": []}) + "\n\ndata: [DONE]\n"
    several = {"id": "b", "choices": [{}, {}], "metrics": None}
    log = acceptance.read([saved(tmp_path, "s.txt", chunk, last, several)])
    assert log.steps["accepted"].to_list() == [1, 3]
    assert any(note.startswith("1 responses without a record") for note in log.notes)


def test_aiperf_records_key_the_histogram_by_accepted_drafts(tmp_path: Path) -> None:
    record = {
        "engine": "vllm",
        "mean_acceptance_length": 2.5,
        "acceptance_histogram": {"0": 1, "3": 1},
        "num_spec_steps": 2,
        "num_accepted_draft_tokens": 3,
        "num_draft_tokens": 8,
        "num_spec_tokens": 4,
    }
    line = {"metadata": {"x_request_id": "q7"}, "metrics": {"spec_decode_acceptance": record}}
    log = acceptance.read([saved(tmp_path, "profile_export.jsonl", line)])
    assert log.requests["id"].to_list() == ["q7"]
    assert survival(log, draft_length=4) == [0.5, 0.5, 0.5, 0.0]


def test_all_faults_of_a_file_come_at_once_with_counts_and_first_places(tmp_path: Path) -> None:
    rows = [
        vllm([1, 2], [3, 3], "a", acceptance_histogram=[0, 1, 1, 1]),
        vllm([1, 2], [3, 3], "b", num_spec_steps=3, mean_acceptance_length=2.0),
        vllm([1, 2], [1, 1], "c"),
        vllm([1, 2], [3, 3], "d", mean_acceptance_length=1.5),  # the bonus left out
        vllm([1, 2], [3, 3], "d"),
        vllm([1, 2], [3, 3], "e", num_draft_tokens=-1),
    ]
    message = refused(saved(tmp_path, "r.jsonl", rows[0], rows[1], "{broken\n", *rows[2:]))
    for said in (
        "1 lines that are not JSON (first: r.jsonl line 3",
        "2 histograms that do not sum to the verify steps (first: r.jsonl line 1: 3, not 2)",
        "1 histograms whose accepted drafts are not the total (first: r.jsonl line 1: 6, not 3)",
        "1 lists of accepted drafts that are not as long as the verify steps (first: r.jsonl line 2",
        "1 steps that accepted more than was drafted (first: request c, turn 0, step 1: accepted 2 of 1)",
        "1 values of mean_acceptance_length that are not 1 + accepted / steps (first: r.jsonl line 5: 1.5, not 2.5)",
        "1 requests that are there twice (first: d at r.jsonl line 5 and r.jsonl line 6)",
        "1 values of num_draft_tokens that are no whole numbers of at least 0 (first: r.jsonl line 7: -1)",
    ):
        assert said in message


def test_a_histogram_that_counts_the_bonus_is_refused(tmp_path: Path) -> None:
    moved = [0, *histogram([1, 2, 0])]
    message = refused(
        saved(tmp_path, "r.json", vllm([1, 2, 0], [3, 3, 3], "a", detailed=False, acceptance_histogram=moved))
    )
    assert "histograms whose accepted drafts are not the total (first: r.json line 1: 6, not 3)" in message
    assert "lists" not in message


def scrape(folder: Path, name: str, engines: dict[str, tuple[int, int, list[int]]], *, created: float = 1.7e9) -> Path:
    """A scrape of vLLM's /metrics: by engine its drafts, draft tokens, and accepted tokens by position."""
    lines = ["# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.", "process_open_fds 12.0"]
    for engine, (drafts, tokens, depths) in engines.items():
        labels = f'engine="{engine}",model_name="org/m,\\"x\\""'
        totals = {"num_drafts": drafts, "num_draft_tokens": tokens, "num_accepted_tokens": sum(depths)}
        for what, value in totals.items():
            lines.append(f"vllm:spec_decode_{what}_total{{{labels}}} {float(value)}")
            lines.append(f"vllm:spec_decode_{what}_created{{{labels}}} {created}")
        for position, value in enumerate(depths):
            by = f'{labels},position="{position}"'
            lines.append(f"vllm:spec_decode_num_accepted_tokens_per_pos_total{{{by}}} {float(value)}")
            lines.append(f"vllm:spec_decode_num_accepted_tokens_per_pos_created{{{by}}} {created}")
    return saved(folder, name, "\n".join(lines) + "\n")


BEFORE = {"0": (100, 300, [90, 50, 20]), "1": (10, 30, [5, 2, 1])}
AFTER = {"0": (300, 900, [240, 130, 60]), "1": (110, 330, [65, 22, 11])}


def test_two_scrapes_of_vllm_are_differenced_and_summed_over_engines(tmp_path: Path) -> None:
    log = acceptance.read([scrape(tmp_path, "a.txt", BEFORE), scrape(tmp_path, "b.txt", AFTER)])
    assert log.curves["steps"].to_list() == [300] * 3
    assert log.curves["accepted"].to_list() == [210, 100, 50]
    assert survival(log, draft_length=3) == [210 / 300, 100 / 300, 50 / 300]
    assert log.curves["group"].unique().to_list() == ['org/m,\\"x\\"']
    assert log.flags == ()
    assert "Summed over 2 engines." in log.notes


def test_shorter_drafts_show_in_the_counters_and_are_flagged(tmp_path: Path) -> None:
    after = BEFORE | {"0": (300, 800, [240, 130, 60])}
    log = acceptance.read([scrape(tmp_path, "a.txt", {"0": BEFORE["0"]}), scrape(tmp_path, "b.txt", after)])
    assert (log.flags, log.curves["steps"][0]) == (("varying-length",), 210)
    assert "6 counters were not there yet in the first scrape and begin at 0." in log.notes


def test_scrapes_that_cannot_be_differenced_are_refused(tmp_path: Path) -> None:
    first, second = scrape(tmp_path, "a.txt", BEFORE), scrape(tmp_path, "b.txt", AFTER)
    assert "give two, the earlier first" in refused(first)
    assert "12 counters that fall" in refused([second, first])
    anew = scrape(tmp_path, "c.txt", AFTER, created=1.8e9)  # grown past the earlier counts after a restart
    assert "12 counters created anew between the scrapes: the server restarted" in refused([first, anew])
    assert "series missing in the second scrape" in refused([first, scrape(tmp_path, "d.txt", {"0": AFTER["0"]})])
    assert "drafted nothing between the scrapes" in refused([first, scrape(tmp_path, "e.txt", BEFORE)])
    broken = saved(tmp_path, "f.txt", second.read_text().replace(" 240.0", " NaN"))
    assert "1 lines that are no samples of a counter (first: f.txt line 9" in refused([first, broken])


@pytest.mark.parametrize("gauge", ["sglang:spec_accept_length", "trtllm_spec_decode_acceptance_length"])
def test_gauges_are_refused_with_the_reason(tmp_path: Path, gauge: str) -> None:
    paths = [saved(tmp_path, f"{n}.txt", f'{gauge}{{model_name="m"}} 2.{n}\n') for n in (1, 2)]
    assert "cannot be differenced" in refused(paths)
    assert "gauges" in refused(paths[0])


def bench(**changed: Any) -> dict[str, Any]:
    """The result of `vllm bench serve` over 400 verify steps of 3 drafts."""
    return {
        "date": "20261120-101010",
        "model_id": "m",
        "num_prompts": 8,
        "itls": [[0.01] * 3],
        "spec_decode_acceptance_rate": 100 * 600 / 1200,
        "spec_decode_acceptance_length": 2.5,
        "spec_decode_num_drafts": 400,
        "spec_decode_draft_tokens": 1200,
        "spec_decode_accepted_tokens": 600,
        "spec_decode_per_position_acceptance_rates": [0.8, 0.5, 0.2],
    } | changed


def test_vllm_bench_rates_are_fractions_and_its_rate_a_percentage(tmp_path: Path) -> None:
    log = acceptance.read([saved(tmp_path, "run.json", json.dumps(bench(), indent=2))])
    assert log.curves["accepted"].to_list() == [320, 200, 80]
    assert log.curves["steps"].to_list() == [400] * 3
    assert log.means.row(0, named=True) | {"group": None} == {
        "group": None,
        "request": None,
        "category": None,
        "temperature": None,
        "draft_length": 3,
        "steps": 400,
        "drafted": 1200,
        "accepted": 600,
        "tokens_per_step": 2.5,
    }


def test_a_benchmark_whose_totals_stand_after_megabytes_of_lists_is_detected(tmp_path: Path) -> None:
    long = {"itls": [[0.0123] * 90_000]} | {key: value for key, value in bench().items() if key != "itls"}
    path = saved(tmp_path, "run.json", long)  # 0.7 MB
    assert acceptance.read([path]).curves.height == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spec_decode_acceptance_rate": 0.5}, "not accepted / drafted in percent"),
        ({"spec_decode_acceptance_length": 1.5}, "not 1 + accepted / drafts"),
        ({"spec_decode_per_position_acceptance_rates": [80.0, 50.0, 20.0]}, "that are no fractions"),
        ({"spec_decode_per_position_acceptance_rates": [0.8, 0.625, 0.4]}, "are they hazards?"),
        ({"spec_decode_num_drafts": 0}, "without counts of drafts"),
    ],
)
def test_vllm_bench_figures_of_another_meaning_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    assert said in refused(saved(tmp_path, "run.json", bench(**changed)))


def log_line(steps: int, depths: list[int], drafted: int | None = None) -> str:
    """vLLM's line of one interval, with its rounding."""
    accepted, drafted = sum(depths), drafted or steps * len(depths)
    rates = ", ".join(f"{depth / steps:.3f}" for depth in depths)
    return (
        "(EngineCore_DP0 pid=7) INFO 11-20 10:00:00 [metrics.py:101] SpecDecoding metrics: "
        f"Mean acceptance length: {1 + accepted / steps:.2f}, Accepted throughput: 66.00 tokens/s, Drafted throughput: "
        f"90.00 tokens/s, Accepted: {accepted} tokens, Drafted: {drafted} tokens, "
        f"Per-position acceptance rate: {rates}, Avg Draft acceptance rate: {100 * accepted / drafted:.1f}%\n"
    )


def test_vllm_log_lines_give_back_their_steps(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        "serve.log",
        "INFO nothing here\n",
        log_line(200, [188, 154, 114]),
        log_line(301, [250, 200, 100]),
        log_line(50, [0, 0, 0]),  # nothing accepted: a mean of 1.00 hides the steps, drafted does not
    )
    log = acceptance.read([path])
    assert log.curves["steps"].to_list() == [551] * 3
    assert log.curves["accepted"].to_list() == [438, 354, 214]
    assert log.flags == ("approximate",)
    assert any("551 steps recovered from the rounded figures of 3 lines" in note for note in log.notes)


def test_vllm_log_lines_of_shorter_drafts_recover_steps_from_the_mean(tmp_path: Path) -> None:
    log = acceptance.read([saved(tmp_path, "serve.log", log_line(80, [60, 30, 10], drafted=180))])
    assert log.curves["steps"].to_list() == [80] * 3
    assert log.curves["accepted"].to_list() == [60, 30, 10]
    assert log.flags == ("approximate", "varying-length")


def test_older_vllm_lines_are_an_acceptance_rate_only(tmp_path: Path) -> None:
    line = "INFO SpecDecoding metrics: Draft acceptance rate: 58.2%, Accepted: 1016 tokens, Drafted: 1746 tokens\n"
    log = acceptance.read([saved(tmp_path, "serve.log", line, line)])
    assert log.curves.is_empty()
    assert log.means.select("accepted", "drafted", "steps", "tokens_per_step").row(0) == (2032, 3492, None, None)


def test_vllm_log_lines_with_hazards_are_refused(tmp_path: Path) -> None:
    line = log_line(200, [180, 144, 115]).replace("0.900, 0.720, 0.575", "0.900, 0.800, 0.799")
    assert "are they hazards?" in refused(saved(tmp_path, "serve.log", line))


def test_depths_no_drafter_reaches_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    far = 10**12
    message = refused(saved(tmp_path, "r.jsonl", *(vllm([1, 2], [3, 3], name, num_spec_tokens=far) for name in "ab")))
    assert "2 requests drafted deeper than 1024 (first: r.jsonl line 1: 1000000000000)" in message
    assert "drafted deeper" in refused(saved(tmp_path, "s.json", vllm([1, 2], [3, 3], "a", per_step_accepted=[1, far])))
    after = scrape(tmp_path, "b.txt", AFTER)
    after.write_text(after.read_text("utf-8").replace('position="2"', f'position="{far}"'), "utf-8")
    assert "series by position without a position that can be" in refused(
        [scrape(tmp_path, "a.txt", {}), after], format="vllm-metrics"
    )


def test_lists_of_different_length_are_a_fault_not_a_crash(tmp_path: Path) -> None:
    message = refused(saved(tmp_path, "r.json", vllm([1, 2], [3, 3, 3], "a")))
    assert "1 lists of drafts that are not as long as the verify steps (first: r.json line 1: 3, not 2)" in message
    assert (
        "1 lists of drafts that are not as long as those of accepted drafts (first: r.json line 1: 3, not 2)" in message
    )
