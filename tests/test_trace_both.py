"""Responses that hold routing and acceptance at once: imported together, joined by id, replayed together."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from montecarlo.errors import InputError
from studies import choices, surfaces, tasks
from tests.acceptance_files import histogram
from tests.routing_traces import lines, routed
from tests.test_cli import invoke, sets
from tests.test_import_vllm import response
from traces import by_depth, importers, replay
from traces.store import Trace

# Drafts accepted of 3, step by step; the last step of each request may have been cut.
STEPS = {"a": [0, 3, 1, 2, 3], "b": [1, 0, 2], "c": [3, 3, 0, 1]}


def record(name: str, length: int = 3) -> dict[str, Any]:
    """`metrics` of a response with `--per-request-spec-decode-metrics detailed`."""
    accepted = STEPS[name]
    detail = {
        "mean_acceptance_length": 1 + sum(accepted) / len(accepted),
        "draft_acceptance_rate": sum(accepted) / (length * len(accepted)),
        "acceptance_histogram": histogram(accepted, length),
        "num_spec_steps": len(accepted),
        "num_accepted_draft_tokens": sum(accepted),
        "num_draft_tokens": length * len(accepted),
        "num_spec_tokens": length,
        "per_step_accepted": accepted,
        "per_step_drafted": [length] * len(accepted),
    }
    return {"metrics": {"speculative_decoding": detail}}


def logged(tmp_path: Path, *names: str, **more: Any) -> Path:
    """Responses of OLMoE's shape (16 layers, 64 experts, top 8) with both records, in this order."""
    rows = [response(routed(14, 16, 64, 8, seed), 4, name, **record(name), **more) for seed, name in enumerate(names)]
    return lines(tmp_path / "log.jsonl", *rows)


def hazards(cut: bool) -> list[float]:
    """By hand: accepted at least d over those that got to d, last steps left out if `cut`."""
    steps = [a for accepted in STEPS.values() for a in (accepted[:-1] if cut else accepted)]
    return [sum(a >= d for a in steps) / sum(a >= d - 1 for a in steps) for d in (1, 2, 3)]


def test_both_come_out_of_one_file(tmp_path: Path) -> None:
    info = importers.read([logged(tmp_path, "a", "b", "c")], tmp_path / "trace")
    trace = Trace.open(tmp_path / "trace")
    assert (info["requests"], info["tokens"], info["steps"]) == (3, 42, 12)
    assert info["acceptance"]["format"] == "request-records"
    assert replay.holds(tmp_path / "trace") == {"routing", "acceptance"}
    requests, steps = trace.frame("requests").collect(), trace.frame("steps").collect()
    assert requests["id"].to_list() == ["a", "b", "c"]
    names = steps.join(requests.select("request", "id"), on="request")
    for name, accepted in STEPS.items():
        assert names.filter(id=name).sort("step")["accepted"].to_list() == accepted
    np.testing.assert_array_equal(np.diff(trace.start), [14, 14, 14])


def test_requests_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    """Routing of a, b in one file; acceptance of c, a in another: three requests, one of them in both."""
    bare = [response(routed(14, 16, 64, 8, seed), 4, name) for seed, name in enumerate("ab")]
    other = [{"id": name, "category": "code", **record(name)} for name in "ca"]
    sources = [lines(tmp_path / "routing.jsonl", *bare), lines(tmp_path / "steps.jsonl", *other)]
    info = importers.read(sources, tmp_path / "trace")
    trace = Trace.open(tmp_path / "trace")
    requests = trace.frame("requests").collect()
    assert requests["id"].to_list() == ["a", "b", "c"]
    assert requests["category"].to_list() == ["code", None, "code"]
    steps = trace.frame("steps").collect()
    counts = dict(steps.group_by("request").agg(pl.len()).iter_rows())
    assert counts == {0: 5, 2: 4}
    assert any("1 of 2 requests with acceptance have no routing" in note for note in info["notes"])


def test_the_law_by_depth_is_the_product_limit(tmp_path: Path) -> None:
    importers.read([logged(tmp_path, "a", "b", "c")], tmp_path / "trace")
    law, notes = by_depth.acceptance(tmp_path / "trace")
    np.testing.assert_allclose(law.hazards, hazards(cut=True))
    assert not np.allclose(law.hazards, hazards(cut=False))
    assert any("9 steps drafted up to 3 ahead" in note for note in notes)


def test_a_study_takes_both_and_each_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(surfaces, "WORLD_WINDOWS", 1)  # what is taken is tested, not how well
    monkeypatch.setattr(tasks, "REPLICATES", 4)
    importers.read([logged(tmp_path, "a", "b", "c")], tmp_path / "trace")
    tiny = sets(target="olmoe-1b-7b", batch="[1, 2]", draft_length="[0, 1, 4]", worlds="4")

    def labels(out: str, *more: str) -> tuple[str, str]:
        found = invoke(
            "run",
            "optimal-k",
            *tiny,
            "--trace",
            str(tmp_path / "trace"),
            "--out",
            str(tmp_path / out),
            "--quiet",
            *more,
        )
        assert found.code == 0, found.err
        row = pl.read_parquet(tmp_path / out / "results.parquet").row(1, named=True)
        assert row["tokens_per_step"] == pytest.approx(
            1 + (hazards(cut=True)[0] if row["acceptance"] == "trace" else 0.5)
        )
        return row["routing"], row["acceptance"]

    assert labels("both") == ("trace", "trace")
    assert labels("routing", "--set", "acceptance=0.5") == ("trace", "0.5")
    assert labels("acceptance", "--set", "routing=uniform") == ("uniform", "trace")
    nothing = ("--set", "routing=uniform", "--set", "acceptance=0.5")
    found = invoke(
        "run", "optimal-k", *tiny, "--trace", str(tmp_path / "trace"), "--out", str(tmp_path / "x"), *nothing
    )
    assert (found.code, "used for nothing" in found.err) == (2, True)


def test_what_holds_no_chain_s_depths_is_refused(tmp_path: Path) -> None:
    file = logged(tmp_path, "a", "b", "c")
    importers.read([file], tmp_path / "tree", format="request-records", tree=[2, 2, 1])
    with pytest.raises(InputError, match="trees 2/2/1"):
        by_depth.acceptance(tmp_path / "tree")
    importers.read([file], tmp_path / "routing", format="vllm")
    assert replay.holds(tmp_path / "routing") == {"routing"}
    with pytest.raises(InputError, match="records no accepted drafts"):
        choices.acceptance("trace", "olmoe-1b-7b", 3, [], str(tmp_path / "routing"))
    with pytest.raises(InputError, match="needs a trace"):
        choices.acceptance("trace", "olmoe-1b-7b", 3, [])
    with pytest.raises(InputError, match="holds no acceptance"):
        importers.read([file], tmp_path / "wrong", format="vllm", tree=[1, 1])
    assert not (tmp_path / "wrong").exists()


def test_curves_are_pooled_by_their_steps_and_averages_refused(tmp_path: Path) -> None:
    table = tmp_path / "curves.csv"
    table.write_text(
        "group,draft_length,depth,steps,accepted\nx,2,1,100,80\nx,2,2,100,40\ny,2,1,300,150\ny,2,2,300,60\n"
    )
    importers.read([table], tmp_path / "curves")
    law, _ = by_depth.acceptance(tmp_path / "curves")
    np.testing.assert_allclose(law.survival(2), [230 / 400, 100 / 400])
    mean = tmp_path / "mean.csv"
    mean.write_text("group,draft_length,tokens_per_step\nx,3,2.5\n")
    importers.read([mean], tmp_path / "mean")
    with pytest.raises(InputError, match="averages only"):
        by_depth.acceptance(tmp_path / "mean")
