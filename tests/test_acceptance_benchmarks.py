"""Benchmarks' acceptance: files of their documented layouts, with each trap planted, and the real ones."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.acceptance_files import refused, saved, survival
from traces.importers import acceptance

TURNS = [[[4, 1, 3], [2, 6]], [[1, 1, 1, 5]]]  # tokens per step, the bonus counted, by question and turn


def answer(turns: list[list[int]], question: int, *, model: str = "vicuna-7b-v1.3-sps-68m-float16-temp-0.0") -> Any:
    """A line of Spec-Bench's answer file."""
    choice = {
        "index": 0,
        "turns": ["..."] * len(turns),
        "decoding_steps": [len(turn) for turn in turns],
        "new_tokens": [sum(turn) for turn in turns],
        "wall_time": [1.0] * len(turns),
        "accept_lengths": [length for turn in turns for length in turn],
    }
    known = {"question_id": question, "category": "coding", "answer_id": "x", "model_id": model, "tstamp": 1.0}
    return known | {"choices": [choice]}


def answers(folder: Path, **given: Any) -> Path:
    return saved(folder, "a.jsonl", *(answer(turns, 81 + i, **given) for i, turns in enumerate(TURNS)))


def test_spec_bench_steps_lose_the_bonus_and_end_with_each_turn(tmp_path: Path) -> None:
    log = acceptance.read([answers(tmp_path)])
    assert log.steps["accepted"].to_list() == [3, 0, 2, 1, 5, 0, 0, 0, 4]
    assert log.steps["turn"].to_list() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert log.steps["step"].to_list() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    assert log.steps["cut"].to_list() == [False, False, True, False, True, False, False, False, True]
    assert log.steps["drafted"].to_list() == [None] * 9
    assert log.requests.select("id", "category", "temperature").rows() == [("81", "coding", 0.0), ("82", "coding", 0.0)]
    assert (log.tree, log.flags) == (None, ("shape-unknown",))


def test_spec_bench_trees_are_known_by_model_id_or_given(tmp_path: Path) -> None:
    log = acceptance.read([answers(tmp_path, model="vicuna-7b-v1.3-eagle-float16")])
    assert (log.tree, log.flags) == ((4, 8, 8, 3, 2), ("tree",))
    assert log.steps["drafted"].to_list() == [5] * 9
    assert log.requests["temperature"].to_list() == [None, None]
    assert any("default tree, 4/8/8/3/2 nodes" in note for note in log.notes)
    given = acceptance.read([answers(tmp_path)], tree=[4, 4, 4, 4, 4, 4])
    assert (given.tree, given.flags) == ((4, 4, 4, 4, 4, 4), ("tree",))
    assert given.steps["drafted"].to_list() == [6] * 9
    chain = acceptance.read([answers(tmp_path)], tree=[1] * 7)
    assert (chain.tree, chain.flags) == (None, ())
    assert chain.steps["drafted"].to_list() == [7] * 9
    later = acceptance.read([answers(tmp_path, model="vicuna-7b-v1.3-eagle2-float16")])
    assert later.tree is None  # EAGLE-2 grows its trees as it goes
    assert "4 deep was given, but a step drafted or accepted 5" in refused(answers(tmp_path), tree=[4, 4, 4, 4])
    assert "give the nodes at depth 1" in refused(answers(tmp_path), tree=[4, 0])


@pytest.mark.parametrize(
    ("model", "flagged"),
    [
        ("medusa-vicuna-7b-v1.3-temperature-0.7-posterior_threshold-0.09", True),
        ("vicuna-7b-v1.3-hydra-float16-temp-1.0", True),
        ("medusa-vicuna-7b-v1.3-temperature-0.0", False),
        ("ess-vicuna-7b-temperature-1.0", False),
    ],
)
def test_typical_acceptance_at_a_temperature_is_lossy(tmp_path: Path, model: str, flagged: bool) -> None:
    log = acceptance.read([answers(tmp_path, model=model)])
    assert ("lossy" in log.flags) == flagged
    assert log.requests["temperature"][0] == float(model.split("-temp")[1].split("-")[1])


def test_spec_bench_faults_are_named_together(tmp_path: Path) -> None:
    rows = [answer(TURNS[0], question) for question in (1, 2, 3, 4)]
    rows[1]["choices"][0]["decoding_steps"] = [3, 3]
    rows[2]["choices"][0]["accept_lengths"] = [3, 0, 2, 1, 5]  # the bonus left out
    rows[3]["choices"][0]["new_tokens"] = [9, 8]
    message = refused(saved(tmp_path, "a.jsonl", *rows, rows[0]))
    for said in (
        "1 entries whose decoding_steps do not sum to the number of accept_lengths (first: a.jsonl line 2: 6, not 5)",
        "1 entries whose accept_lengths do not count the bonus, as Spec-Bench's do (first: a.jsonl line 3)",
        "1 entries whose accept_lengths do not sum to new_tokens, turn by turn (first: a.jsonl line 4",
        "1 questions that are there twice (first: 1 at a.jsonl line 1 and a.jsonl line 5)",
    ):
        assert said in message


def test_accept_lengths_without_the_bonus_are_seen_even_if_none_is_zero(tmp_path: Path) -> None:
    row = answer([[3, 2, 2]], 1)
    row["choices"][0]["accept_lengths"] = [2, 1, 1]
    assert "do not count the bonus" in refused(saved(tmp_path, "a.jsonl", row))


def test_questions_answered_several_times_are_requests_of_their_own(tmp_path: Path) -> None:
    row = answer(TURNS[0], 5)
    row["choices"].append(answer(TURNS[1], 5)["choices"][0] | {"index": 1})
    log = acceptance.read([saved(tmp_path, "a.jsonl", row)])
    assert log.requests["id"].to_list() == ["5/0", "5/1"]
    assert log.steps.height == 9


def test_medusa_runs_write_the_index_of_the_last_step_instead(tmp_path: Path) -> None:
    row = answer(TURNS[0], 1)
    del row["choices"][0]["decoding_steps"]
    row["choices"][0]["idxs"] = [2, 1]
    log = acceptance.read([saved(tmp_path, "a.jsonl", row)])
    assert log.steps["turn"].to_list() == [0, 0, 0, 1, 1]


def test_two_models_are_not_one_trace(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jsonl", answer(TURNS[0], 1), answer(TURNS[1], 2, model="other"))
    assert "import one model at a time" in refused(path)


def test_eagle_indices_are_one_less_than_steps(tmp_path: Path) -> None:
    choice = {"index": 0, "turns": [".", "."], "idxs": [9, 4], "new_tokens": [38, 12], "wall_time": [1.0, 1.0]}
    row = {"question_id": 81, "model_id": "ess-vicuna-7b-fp16-temperature-1.0", "choices": [choice]}
    log = acceptance.read([saved(tmp_path, "e.jsonl", row)])
    assert log.means.select("steps", "accepted", "tokens_per_step", "temperature").row(0) == (15, 35, 50 / 15, 1.0)
    assert log.means["request"].to_list() == [0]
    fewer = row | {"choices": [choice | {"new_tokens": [9, 4]}]}
    assert "fewer new tokens than steps" in refused(saved(tmp_path, "f.jsonl", fewer))


def test_eagle_alpha_is_counts_by_depth_and_its_ratio_the_hazard(tmp_path: Path) -> None:
    """100 steps, of which 80, 48, 12 accepted at least 1, 2, 3; five branches of the tree end at depth 2."""
    alpha = {"idxs": [99], "new_tokens": [240], "alpha": [80, 48, 12], "alpha_num": [100, 80, 43]}
    row = {"question_id": 81, "model_id": "x-temperature-0.0", "choices": [{"index": 0, **alpha}]}
    log = acceptance.read([saved(tmp_path, "e.jsonl", row)])
    assert survival(log, request=0) == [0.8, 0.48, 0.12]
    assert log.curves["steps"].to_list() == [100] * 3
    rates = row | {"choices": [{"index": 0, **alpha, "alpha": [80, 60, 12], "alpha_num": [100, 100, 100]}]}
    assert "no counts of successive depths" in refused(saved(tmp_path, "f.jsonl", rates))


def specdec() -> dict[str, Any]:
    """specdec_bench's JSON for 10 iterations of 1, 6 of 2 and 4 of 4 tokens."""
    return {
        "Request_AL": {"0": {"0": 2.0}, "1": {"0": 1.5}},
        "Average_AL": 1.75,
        "Acceptance_Length_Histogram": {"1": 10, "2": 6, "4": 4},
        "Conditional_Acceptance_Rate": {"1": 1.0, "2": 0.5, "4": 0.4},
        "Joint_Acceptance_Rate": {"1": 1.0, "2": 0.5, "4": 0.2},
        "Category_AL": {"coding": 2.1, "qa": 1.4},
    }


def test_specdec_bench_counts_the_bonus_and_prints_hazards(tmp_path: Path) -> None:
    log = acceptance.read([saved(tmp_path, "s.json", json.dumps(specdec(), indent=1))])
    assert survival(log, group="s") == [10 / 20, 4 / 20, 4 / 20]  # no iteration of 3 tokens
    assert log.curves["steps"].to_list() == [20] * 3
    assert log.means.select("category", "tokens_per_step").rows() == [("coding", 2.1), ("qa", 1.4)]
    wrong = specdec() | {"Conditional_Acceptance_Rate": {"1": 1.0, "2": 0.5, "4": 0.2}}
    assert "not those of the histogram (first: s.json line 1: 0.2 at 4, not 0.4)" in refused(
        saved(tmp_path, "s.json", wrong)
    )


def test_dflash_anchors_are_no_drafts(tmp_path: Path) -> None:
    lengths = [[4, 1, 2], [3, 3]]
    rates = [1.0, 4 / 5, 3 / 5, 1 / 5]
    held = {
        "per_sample": [{"acceptance_lengths": own} for own in lengths],
        "summary": {"acceptance_rate_per_pos": rates},
    }
    log = acceptance.read([saved(tmp_path, "d.json", held)])
    assert log.steps["accepted"].to_list() == [3, 0, 1, 2, 2]
    assert log.steps["drafted"].to_list() == [3] * 5
    assert log.steps["cut"].to_list() == [False, False, True, False, True]
    held["summary"] = {"acceptance_rate_per_pos": rates[1:]}  # the anchor already dropped: all would shift
    message = refused(saved(tmp_path, "d.json", held))
    assert "do not begin with the anchor's 1.0" in message
    assert "not those of the samples" in message


GOLDEN = """# dataset: coding | output_len: 4096
# thinking_on : temp 0.6 top_p 0.95 | chat_template_kwargs: {"enable_thinking": true}
# thinking_off: temp 0.7 top_p 0.8
org/model-1.5:
  thinking_on:
    1: 1.90
    2: 2.50  # measured twice
  thinking_off:
    1: 1.80
    2: 1.75
"""


def test_inferencex_modes_keep_their_temperature(tmp_path: Path) -> None:
    log = acceptance.read([saved(tmp_path, "g.yaml", GOLDEN)])
    assert log.means.select("group", "category", "temperature", "draft_length", "tokens_per_step").rows() == [
        ("org/model-1.5 thinking_on", "coding", 0.6, 1, 1.9),
        ("org/model-1.5 thinking_on", "coding", 0.6, 2, 2.5),
        ("org/model-1.5 thinking_off", "coding", 0.7, 1, 1.8),
        ("org/model-1.5 thinking_off", "coding", 0.7, 2, 1.75),
    ]
    assert any("1 values fall with the draft length" in note for note in log.notes)
    bad = GOLDEN.replace("1: 1.90", "1: !!python/name:os.system").replace("2: 1.75", "1: 3.1")
    message = refused(saved(tmp_path, "b.yaml", bad))
    for said in ("1 lines that are not `model:`", "1 draft lengths that are there twice", "above draft length + 1"):
        assert said in message


def test_a_modes_own_temperature_goes_before_the_data_sets(tmp_path: Path) -> None:
    shared = GOLDEN.replace("dataset: coding |", "dataset: coding | temperature: 1.0 |").replace("temp 0.7 ", "")
    log = acceptance.read([saved(tmp_path, "g.yaml", shared)])
    assert log.means["temperature"].to_list() == [0.6, 0.6, 1.0, 1.0]


def test_real_step_logs_hold_what_their_source_says(data: Path) -> None:
    """Totals of the data's description; means by request, by token and by step as published beside it."""
    held = {}
    for name, requests, steps in (
        ("specbench-vicuna7b-eagle1", 480, 25_525),
        ("mtbench-vicuna7b-medusa", 80, 16_996),
        ("queryrank-vicuna7b-hydra", 50, 4_392),
    ):
        log = held[name] = acceptance.read([data / "acceptance" / f"{name}.jsonl"])
        assert (log.requests.height, log.steps.height) == (requests, steps)
    eagle = held["specbench-vicuna7b-eagle1"]
    tokens = eagle.steps.group_by("request").agg((pl.col("accepted") + 1).mean().alias("mean"), pl.len().alias("steps"))
    mean, steps_of = tokens["mean"].to_numpy(), tokens["steps"].to_numpy()
    assert mean.mean() == pytest.approx(3.34, abs=0.005)
    assert (mean**2 * steps_of).sum() / (mean * steps_of).sum() == pytest.approx(3.68, abs=0.005)
    assert 1 + eagle.steps["accepted"].mean() == pytest.approx(3.58, abs=0.005)  # type: ignore[operator]
    assert eagle.steps["cut"].sum() == 560  # 400 questions of one turn, 80 of two
    coding = eagle.steps.join(eagle.requests, on="request").filter(pl.col("category") == "coding")
    assert 1 + coding["accepted"].mean() == pytest.approx(4.51, abs=0.005)  # type: ignore[operator]
    for name, hazards in (
        ("specbench-vicuna7b-eagle1", (0.897, 0.803, 0.727, 0.518, 0.627)),
        ("mtbench-vicuna7b-medusa", (0.834, 0.582, 0.367, 0.116)),
    ):
        whole = held[name].steps.filter(~pl.col("cut"))["accepted"].to_numpy()
        own = [(whole >= d).sum() / (whole >= d - 1).sum() for d in range(1, len(hazards) + 1)]
        assert own == pytest.approx(hazards, abs=0.003)


def test_real_eagle_steps_fit_their_tree(data: Path) -> None:
    log = acceptance.read([data / "acceptance" / "specbench-vicuna7b-eagle1.jsonl"], tree=(4, 8, 8, 3, 2))
    assert log.steps["drafted"].unique().to_list() == [5]
    assert log.flags == ("tree",)


def test_real_golden_values(data: Path) -> None:
    log = acceptance.read(sorted((data / "acceptance" / "inferencex-golden-al").glob("*.yaml")))
    assert log.means.height == 8 * 8
    known = {(row["group"], row["draft_length"]): row for row in log.means.iter_rows(named=True)}
    assert known["kimi-k2.5-nvfp4 thinking_off", 3]["tokens_per_step"] == 2.75
    heats = {group: row["temperature"] for (group, _), row in known.items()}
    assert heats == {
        "deepseek-v4-pro thinking_on": 1.0,
        "deepseek-v4-pro thinking_off": 1.0,
        "deepseek-v4-pro-0813 thinking_on": 1.0,
        "glm-5.2-fp8 thinking_on": 1.0,
        "kimi-k2.5-nvfp4 thinking_on": 1.0,
        "kimi-k2.5-nvfp4 thinking_off": 0.6,
        "qwen3.5-397b-a17b-nvfp4 thinking_on": 0.6,
        "qwen3.5-397b-a17b-nvfp4 thinking_off": 0.7,
    }
    assert set(log.means["category"]) == {"coding"}


def test_real_published_survival_after_its_ranges_are_taken_out(data: Path, tmp_path: Path) -> None:
    source = data / "published" / "per_position_acceptance.csv"
    assert "4 fields that are no numbers" in refused(source)  # "0.85-0.90" and the like, in two lines
    lines = source.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if "0.85-0.90" not in line and "0.81-0.823" not in line]
    log = acceptance.read([saved(tmp_path, "published.csv", *kept)])
    assert log.curves["group"].n_unique() == len(kept) - 1 == 67
    assert survival(log, group="gpt-oss-20b / RedHatAI eagle3 / MT-Bench") == [0.7165, 0.512, 0.3337]
    assert any("lines do not give every depth" in note for note in log.notes)
