"""The study optimal-k on a recorded trace: its own error, its tail, and the real one counted by hand."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from studies import surfaces, tasks
from tests.statistics import within
from tests.test_cli import Outcome, invoke, tiny
from tests.test_npz import made_up, packed
from tests.test_study import BASE, same_in_shared_cells, studied
from traces import npz


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Requests that differ: every other one stays with its first token's experts."""
    arrays = made_up(tuple(range(20, 44)))
    for first, last in list(pairwise(arrays["seq_start"]))[::2]:
        arrays["expert_ids"][first:last] = arrays["expert_ids"][first]
    path = tmp_path_factory.mktemp("trace") / "made-up.npz"
    path.write_bytes(packed(**arrays))
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One window per request and world, and few replicates."""
    monkeypatch.setattr(surfaces, "WORLD_WINDOWS", 1)
    monkeypatch.setattr(tasks, "REPLICATES", 12)


@pytest.mark.usefixtures("quick")
def test_a_trace_has_an_error_of_its_own_and_synthetic_routing_has_none(trace: Path) -> None:
    found = studied(trace, **BASE | {"worlds": "6"})
    drafted = pl.col("draft_length") > 0
    assert found["results"]["speedup_trace_se"].null_count() == 0
    at_one = found["results"].filter(drafted, pl.col("batch") == 1)
    assert (at_one["speedup_trace_se"] > 0.001).all()
    assert (found["results"].filter(~drafted)["speedup_trace_se"] == 0).all()
    assert (found["best"].filter(batch=1)["speedup_trace_se"] > 0).all()
    base = studied(**BASE)
    assert base["results"]["speedup_trace_se"].null_count() == base["results"].height
    assert base["best"]["speedup_trace_se"].null_count() == base["best"].height
    assert found["results"]["routing"].unique().to_list() == ["trace"]


@pytest.mark.usefixtures("quick")
def test_a_trace_gives_the_same_in_shared_cells(trace: Path) -> None:
    small = studied(trace, **BASE | {"worlds": "9"})
    large = studied(trace, batch="[1, 2, 4, 24]", draft_length="[0, 1, 2, 5]", worlds="9")
    same_in_shared_cells(large, studied(trace, **BASE | {"worlds": "9", "context_tokens": "4096"}))
    assert_frame_equal(studied(trace, **BASE | {"worlds": "9"})["results"], small["results"], check_exact=True)


@pytest.mark.usefixtures("quick")
def test_the_tail_of_a_trace_is_what_it_is_said_to_be(trace: Path) -> None:
    """Every other request of the trace repeats itself: another request in the tail loads more experts."""
    keys = {"batch": "1", "draft_length": "[3]", "acceptance": "0.0", "worlds": "12"}
    loads = [
        studied(trace, **keys, tail=tail)["results"]["distinct_experts"].item() for tail in ("request", "anywhere")
    ]
    assert loads[1] > loads[0] + 2
    sure = {"batch": "1", "draft_length": "[3]", "acceptance": "1.0", "worlds": "12"}
    one = studied(trace, **sure, tail="request")["results"]["distinct_experts"].item()
    assert one == studied(trace, **sure, tail="text")["results"]["distinct_experts"].item()


def windows(text: npz.Text, tokens: int) -> np.ndarray:
    """Mean distinct experts per layer of windows of `tokens` tokens, over the places of each request [requests].

    A window that would pass the end of its request ends with it.
    """
    words = np.bitwise_or.reduce(np.left_shift(np.uint32(1), text.experts.astype(np.uint32)), axis=2)
    means = []
    for first, last in zip(text.start[:-1], text.start[1:], strict=True):
        held = np.lib.stride_tricks.sliding_window_view(words[first:last], tokens, axis=0)
        counts = np.bitwise_count(np.bitwise_or.reduce(held, axis=2)).mean(axis=1)
        at = np.minimum(np.arange(last - first), last - first - tokens)
        means.append(counts[at].mean())
    return np.array(means)


def test_the_real_trace_loads_what_counting_every_window_gives(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "REPLICATES", 4)
    path = data / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing_small.npz"
    out = tmp_path / "out"
    keys = {"target": "gpt-oss-20b", "hardware": "h100-sxm", "batch": "[1, 8]", "draft_length": "[0, 1, 3, 7]"}
    argv = tiny(out, "--quiet", "--trace", str(path), **keys, worlds="6", world_requests="512", tail="text")
    assert invoke(*argv) == Outcome(0, "", "")
    grid = pl.read_parquet(out / "results.parquet").filter(batch=1)
    text = npz.read(path)
    for row in grid.iter_rows(named=True):
        counted = float(windows(text, row["draft_length"] + 1).mean())
        error = max(row["distinct_experts_se"], 1e-9)
        within(row["distinct_experts"], counted, error, largest=0.05, what=f"length {row['draft_length']}")
    assert (grid.filter(pl.col("draft_length") > 0)["speedup_trace_se"] >= 0).all()
