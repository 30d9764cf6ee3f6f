"""One run, written in every format that can hold it: each importer gives back the same acceptance."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import test_acceptance_benchmarks as benchmarks
from tests import test_acceptance_engines as engines
from tests import test_acceptance_vllm as vllm
from tests.acceptance_files import histogram, saved
from traces.acceptance_log import AcceptanceLog
from traces.importers import acceptance

LENGTH = 3
RUNS = st.lists(st.lists(st.integers(0, LENGTH), min_size=1, max_size=12), min_size=1, max_size=5)


def pooled(log: AcceptanceLog) -> tuple[int, list[int]]:
    """Verify steps, and those that accepted at least 1, 2, 3 drafts."""
    if log.steps.height:
        accepted = log.steps["accepted"].to_numpy()
        return len(accepted), [int((accepted >= depth).sum()) for depth in range(1, LENGTH + 1)]
    first = log.curves.filter(pl.col("depth") == 1)
    total = log.curves.group_by("depth").agg(pl.col("accepted").sum()).sort("depth")
    return int(first["steps"].sum()), (total["accepted"].to_list() + [0] * LENGTH)[:LENGTH]


def written(runs: list[list[int]], folder: Path) -> dict[str, list[Path]]:
    """The run in each format, by name."""
    steps = [accepted for run in runs for accepted in run]
    depths = [sum(accepted >= depth for accepted in steps) for depth in range(1, LENGTH + 1)]
    drafted = LENGTH * len(steps)
    full = [[LENGTH] * len(run) for run in runs]
    pairs = list(zip(runs, full, strict=True))
    benched = {"num_drafts": len(steps), "draft_tokens": drafted, "accepted_tokens": sum(steps)}
    rates = {
        "spec_decode_acceptance_rate": 100 * sum(steps) / drafted,
        "spec_decode_acceptance_length": 1 + sum(steps) / len(steps),
        "spec_decode_per_position_acceptance_rates": [depth / len(steps) for depth in depths],
    }
    emitted = {str(j + 1): n for j, n in enumerate(histogram(steps)) if n}
    rows = "".join(f"{r},{s},{a},3\n" for r, run in enumerate(runs) for s, a in enumerate(run))
    return {
        "detailed": [saved(folder, "1", *(vllm.vllm(a, d, str(i)) for i, (a, d) in enumerate(pairs)))],
        "summary": [saved(folder, "2", *(vllm.vllm(a, d, str(i), detailed=False) for i, (a, d) in enumerate(pairs)))],
        "metrics": [
            vllm.scrape(folder, "3", {"0": (7, 21, [5, 3, 1])}),
            vllm.scrape(
                folder, "4", {"0": (7 + len(steps), 21 + drafted, [depths[0] + 5, depths[1] + 3, depths[2] + 1])}
            ),
        ],
        "bench": [saved(folder, "5", vllm.bench(**{f"spec_decode_{k}": v for k, v in benched.items()}, **rates))],
        "log": [saved(folder, "6", vllm.log_line(len(steps), depths))],
        "sglang": [saved(folder, "7", *(engines.sglang(a, str(i)) for i, a in enumerate(runs)))],
        "spec-bench": [
            saved(folder, "8", *(benchmarks.answer([[a + 1 for a in run]], i) for i, run in enumerate(runs)))
        ],
        "specdec": [saved(folder, "9", {"Acceptance_Length_Histogram": emitted})],
        "csv": [saved(folder, "10", "request,step,accepted,drafted\n", rows)],
    }


@given(RUNS)
def test_every_format_tells_the_same_run(runs: list[list[int]]) -> None:
    steps = [accepted for run in runs for accepted in run]
    expected = [sum(accepted >= depth for accepted in steps) for depth in range(1, LENGTH + 1)]
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in written(runs, Path(folder)).items():
            log = acceptance.read(paths)
            assert pooled(log) == (len(steps), expected), name
            for row in log.means.iter_rows(named=True):
                assert row["tokens_per_step"] == pytest.approx(1 + sum(expected) / len(steps)), name
