"""The laws every acceptance log obeys, how formats are told apart, forced and lossy acceptance."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montecarlo.errors import InputError
from tests import test_acceptance_benchmarks as benchmarks
from tests import test_acceptance_engines as engines
from tests import test_acceptance_vllm as vllm
from tests.acceptance_files import refused, saved
from traces import schema
from traces.acceptance_log import FLAGS, AcceptanceLog, Steps
from traces.faults import Faults
from traces.importers import acceptance


def broken(**rows: Any) -> str:
    with pytest.raises(InputError) as caught:
        AcceptanceLog.of("source", Faults(), **rows)
    assert str(caught.value).startswith("source: ")
    return str(caught.value)


def curve(*survival: float, **known: Any) -> list[dict[str, Any]]:
    known = {"group": "g", "draft_length": len(survival)} | known
    return [{"depth": depth, "survival": share, **known} for depth, share in enumerate(survival, 1)]


def mean(tokens: float, **known: Any) -> list[dict[str, Any]]:
    return [{"group": "g", "tokens_per_step": tokens, **known}]


def test_frames_have_the_columns_and_types_of_a_trace_on_disk() -> None:
    log = AcceptanceLog.of("source", Faults(), curves=curve(0.5, 0.25), means=mean(1.75, draft_length=2))
    named = ((log.requests, schema.REQUESTS), (log.steps, schema.STEPS), (log.curves, schema.CURVES))
    for frame, columns in (*named, (log.means, schema.MEANS)):
        assert dict(frame.schema) == dict(pl.Schema(columns))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"curves": curve(0.5, 0.6)}, "1 survivals that rise with depth; are they hazards (conditional rates)?"),
        ({"curves": curve(80.0, 50.0)}, "2 survivals outside 0..1; a percentage must be divided by 100 (first: g,"),
        ({"curves": curve(0.5, 0.4, draft_length=1)}, "1 depths beyond the drafted length (first: g, draft length 1"),
        ({"curves": curve(0.5, 0.4)[1:]}, "1 depths that do not follow 1, 2, ... (first: g, draft length 2, depth 2"),
        ({"curves": curve(0.5) * 2}, "1 depths that do not follow 1, 2, ..."),
        ({"means": mean(0.9)}, "1 tokens per step below 1; the bonus must be counted (first: g: 0.9)"),
        ({"means": mean(float("nan"))}, "1 tokens per step below 1"),
        ({"means": mean(3.2, draft_length=2)}, "1 tokens per step above draft length + 1"),
        ({"means": mean(1.5, steps=10, accepted=6)}, "1 tokens per step that are not 1 + accepted / steps"),
        ({"means": [{"group": "g", "accepted": 3, "drafted": 2}]}, "1 rows that accepted more than was drafted"),
        (
            {"curves": curve(0.8, 0.5), "means": mean(1.3, draft_length=2)},
            "is the bonus left out, or are these hazards?",
        ),
        ({}, "no verify step in it"),
    ],
)
def test_each_law_is_broken_alone(rows: dict[str, Any], said: str) -> None:
    message = broken(**rows)
    assert said in message
    assert ";" not in message.replace("; a percentage", "").replace("; are they", "").replace(
        "; the bonus", ""
    ).replace("; was speculative", "")


def test_hazards_read_as_survival_miss_the_tokens_per_step() -> None:
    """Falling hazards pass for survival by their shape; their sum gives them away."""
    falling = (0.9, 0.8, 0.7)
    assert "not 1 + the sum of survival" in broken(
        curves=curve(*falling), means=mean(1 + 0.9 + 0.72 + 0.504, draft_length=3)
    )


def test_sums_are_compared_only_where_every_depth_is_known() -> None:
    log = AcceptanceLog.of("s", Faults(), curves=curve(0.8, 0.5, draft_length=9), means=mean(3.0, draft_length=9))
    assert log.means.height == 1


def test_several_curves_of_one_file_do_not_touch_each_other() -> None:
    rows = [
        *curve(0.5, 0.2, request=0),
        *curve(0.9, 0.8, request=1),
        *curve(0.95, category="qa"),
        *curve(0.9, group="h"),
    ]
    assert AcceptanceLog.of("s", Faults(), curves=rows).curves.height == 6


def test_steps_beyond_what_was_drafted_are_counted_and_placed() -> None:
    steps = Steps()
    steps.turn(0, 0, [1, 2], [1, 3])
    steps.turn(1, 0, [0, 3, 4], 2)
    steps.turn(2, 0, [-1, 5], None)
    requests = [{"request": request, "id": name} for request, name in enumerate(("a", "b", None))]
    message = broken(requests=requests, steps=steps)
    assert "1 steps that accepted less than no draft (first: request 2, turn 0, step 0: accepted -1 of None)" in message
    assert "2 steps that accepted more than was drafted (first: request b, turn 0, step 1: accepted 3 of 2)" in message


def test_a_turn_without_steps_leaves_no_row() -> None:
    steps = Steps()
    steps.turn(0, 0, [])
    steps.turn(0, 1, [2], 4, batch=[8], seconds=[0.25])
    assert steps.frame().rows(named=True) == [
        {"request": 0, "turn": 1, "step": 0, "drafted": 4, "accepted": 2, "cut": True, "batch": 8, "seconds": 0.25}
    ]


def test_a_tree_needs_steps() -> None:
    log = AcceptanceLog.of("s", Faults(), curves=curve(0.5))
    with pytest.raises(InputError, match="no steps"):
        log.with_tree((4, 2))


WRITTEN: dict[str, tuple[str, ...]] = {  # each format, as the tests of engines and benchmarks write it
    "request-records": (json.dumps(vllm.vllm([1, 2, 0], [3, 3, 2], "a")),),
    "vllm-bench": (json.dumps(vllm.bench()),),
    "vllm-log": (vllm.log_line(200, [188, 154, 114]),),
    "sglang-requests": (json.dumps(engines.sglang([1, 2, 3], "a")),),
    "sglang-log": (engines.START.format(topk=1) + engines.DECODE.format(running=8, tokens=2.5),),
    "llama-cpp": (engines.LLAMA.format(task=7, accepted=167, drafted=259, mean=2.92, rates="0.805, 0.632, 0.483"),),
    "tensorrt-llm-iterations": (json.dumps(engines.iteration(4, 12, 7)),),
    "spec-bench": (json.dumps(benchmarks.answer([[2, 1]], 1)),),
    "eagle": (json.dumps({"question_id": 1, "choices": [{"idxs": [3], "new_tokens": [9]}]}),),
    "dflash": (json.dumps({"per_sample": [{"acceptance_lengths": [2, 1]}]}),),
    "specdec-bench": (json.dumps(benchmarks.specdec()),),
    "inferencex": (benchmarks.GOLDEN,),
    "acceptance-csv": ("group,draft_length,depth,survival\ng,2,1,0.8\ng,2,2,0.5\n",),
}


def scrapes(folder: Path) -> list[Path]:
    return [vllm.scrape(folder, "before.txt", vllm.BEFORE), vllm.scrape(folder, "after.txt", vllm.AFTER)]


def files_of(name: str, folder: Path) -> list[Path]:
    return scrapes(folder) if name == "vllm-metrics" else [saved(folder, "file", *WRITTEN[name])]


@pytest.mark.parametrize("name", acceptance.FORMATS)
def test_every_format_is_detected_by_its_content_alone(tmp_path: Path, name: str) -> None:
    for path in files_of(name, tmp_path):
        assert acceptance.detect(path, path.read_text("utf-8")) == [name]
    log = acceptance.read(files_of(name, tmp_path))
    assert set(log.flags) <= set(FLAGS)
    assert log.format == name
    forced = acceptance.read(files_of(name, tmp_path), format=name)
    assert forced.curves.equals(log.curves)
    assert forced.means.equals(log.means)
    assert forced.steps.equals(log.steps)


@pytest.mark.parametrize("name", acceptance.FORMATS)
def test_a_damaged_file_is_refused_or_read_never_a_crash(tmp_path: Path, name: str) -> None:
    draw = random.Random(7)
    paths = files_of(name, tmp_path)
    whole = paths[-1].read_text("utf-8")
    outcomes = set()
    for _ in range(150):
        at = draw.randrange(len(whole))
        replaced = draw.choice(["", "-", "9", "x", '"', "null", "1e400", "[]", "9" * 30, ", ", "\n", "0.5", "nan"])
        paths[-1].write_text(whole[:at] + replaced + whole[at + draw.choice([0, 1, 3, 30]) :], "utf-8")
        try:
            acceptance.read(paths, format=name)
            outcomes.add("read")
        except InputError as error:
            outcomes.add("refused" if len(str(error).splitlines()) == 1 else "several lines")
    assert outcomes <= {"read", "refused"}
    assert "refused" in outcomes


@pytest.mark.parametrize("name", acceptance.FORMATS)
def test_a_forced_format_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    paths = [saved(tmp_path, f"{n}.txt", "some,other,table\n1,2,3\n") for n in (1, 2)]
    refused(paths, format=name)
    refused([saved(tmp_path, f"{n}.txt", "[1, null, {}]\n") for n in (1, 2)], format=name)


def test_what_cannot_be_told_says_what_could_be(tmp_path: Path) -> None:
    nothing = saved(tmp_path, "n.txt", "hello\n")
    message = refused(nothing)
    assert all(name in message for name in acceptance.FORMATS)
    both = saved(tmp_path, "both.log", *WRITTEN["vllm-log"], *WRITTEN["sglang-log"])
    assert "could be vllm-log or sglang-log: give --format" in refused(both)
    assert acceptance.read([both], format="vllm-log").curves.height == 3
    mixed = [saved(tmp_path, "a", *WRITTEN["vllm-log"]), saved(tmp_path, "b", *WRITTEN["sglang-log"])]
    assert "import files of one format at a time" in refused(mixed)
    assert "format 'vllm' is none of request-records" in refused(both, format="vllm")
    assert "given twice" in refused([both, both])
    assert "does not exist" in refused(tmp_path / "absent")
    assert "cannot be read" in refused(tmp_path)
    assert "no file to import" in refused([])


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    paths = []
    for folder, tokens in (("one", 400), ("two", 800)):
        (tmp_path / folder).mkdir()
        totals = {"num_drafts": tokens, "draft_tokens": 3 * tokens, "accepted_tokens": round(1.5 * tokens)}
        named = {f"spec_decode_{name}": value for name, value in totals.items()}
        paths.append(saved(tmp_path / folder, "run.json", vllm.bench(**named)))
    log = acceptance.read(paths)
    assert log.curves["steps"].to_list() == [400] * 3 + [800] * 3
    assert log.curves["group"].n_unique() == 2


@pytest.mark.parametrize(
    "mark",
    [
        '{"rejection_sample_method":"synthetic","synthetic_acceptance_length":2.49}',
        "SpeculativeConfig(method='mtp', synthetic_acceptance_rates=[0.8, 0.5])",
        "export SGLANG_SIMULATE_ACC_LEN=3",
        "TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS=2",
    ],
)
def test_acceptance_that_was_set_is_refused(tmp_path: Path, mark: str) -> None:
    path = saved(tmp_path, "serve.log", "INFO\n", mark + "\n", *WRITTEN["vllm-log"])
    message = refused(path)
    assert "acceptance was set, not measured" in message
    assert "serve.log line 2" in message


@pytest.mark.parametrize(
    ("mark", "flags"),
    [
        ("rejection_sample_method='standard', synthetic_acceptance_length=None", ()),
        ("SGLANG_SIMULATE_ACC_LEN=0", ()),
        ("SGLANG_SIMULATE_ACC_LEN=-1 TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS=0", ()),
        ("speculative_accept_threshold_single=1.0, speculative_accept_threshold_acc=1.0", ()),
        ("speculative_accept_threshold_single=0.5, speculative_accept_threshold_acc=1.0", ("lossy",)),
        ("speculative_accept_threshold_acc=0", ("lossy",)),
        ("spec_decoding_acceptance_method='typical_acceptance_sampler'", ("lossy",)),
        ("use_relaxed_acceptance_for_thinking: true", ("lossy",)),
        ("use_relaxed_acceptance_for_thinking: false", ()),
        ('{"rejection_sample_method":"block"}', ("block",)),
    ],
)
def test_other_rules_of_acceptance_are_flagged(tmp_path: Path, mark: str, flags: tuple[str, ...]) -> None:
    log = acceptance.read([saved(tmp_path, "serve.log", mark + "\n", *WRITTEN["vllm-log"])])
    assert tuple(flag for flag in log.flags if flag != "approximate") == flags
    assert any(note.startswith("Drafts were accepted by") for note in log.notes) == bool(flags)
