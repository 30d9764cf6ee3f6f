"""Results of `vllm bench serve`, written from the documented layout: rows come back, faults come all at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from montecarlo.errors import InputError
from studies import bench
from tests.synthetic_engine import CONCURRENCY, PRIORS, load, measured
from tests.synthetic_engine import bench as result

TERMS = PRIORS.median()
SPECULATION = {
    "spec_decode_acceptance_rate": 46.7,
    "spec_decode_acceptance_length": 2.4,
    "spec_decode_num_drafts": 1000,
    "spec_decode_draft_tokens": 3000,
    "spec_decode_accepted_tokens": 1400,
    "spec_decode_per_position_acceptance_rates": [0.7, 0.45, 0.25],
}


def write(folder: Path, name: str = "run.json", row: int = 0, **changed: object) -> Path:
    """A result file, with keys changed; None takes one away."""
    content = {key: value for key, value in (result(row, TERMS) | changed).items() if value is not None}
    (folder / name).write_text(json.dumps(content), "utf-8")
    return folder / name


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    found = bench.read([write(tmp_path, f"{row}.json", row) for row in range(CONCURRENCY.size)])
    true = measured(TERMS, load(), np.zeros((2, CONCURRENCY.size)))
    np.testing.assert_array_equal(found.load.sequences, CONCURRENCY)
    np.testing.assert_array_equal(found.load.prompt, np.full(CONCURRENCY.size, 2000.0))
    np.testing.assert_array_equal(found.load.output, np.full(CONCURRENCY.size, 500.0))
    np.testing.assert_allclose(found.observed.step, true.step, rtol=1e-12)
    np.testing.assert_allclose(found.observed.token, true.token, rtol=1e-12)
    assert (found.load.draft_length == 0).all()
    assert (found.load.tokens_per_step == 1).all()
    assert (found.model, found.names[0]) == ("made-up/model", "0.json")


def test_a_run_with_speculation_counts_drafts_and_tokens(tmp_path: Path) -> None:
    """The acceptance length has the bonus in it, the acceptance rate is a percentage and not needed."""
    plain, drafted = write(tmp_path), write(tmp_path, "k.json", 2, **SPECULATION, mean_itl_ms=20.0)
    found = bench.read([plain, drafted])
    assert found.load.draft_length.tolist() == [0, 3]
    assert found.load.tokens_per_step.tolist() == [1, 2.4]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_concurrency": None}, "no positive max_concurrency"),
        ({"max_concurrency": True}, "no positive max_concurrency"),
        ({"total_input_tokens": 0}, "no positive total_input_tokens"),
        ({"output_throughput": float("nan")}, "no positive output_throughput"),
        ({"median_itl_ms": None, "mean_tpot_ms": None}, "neither median_itl_ms nor mean_tpot_ms"),
        ({"completed": 60}, "4 failed requests"),
        ({"failed": 2}, "2 failed requests"),
        ({"request_rate": 4.0}, "request_rate 4.0"),
        ({"mean_itl_ms": 99.0}, "speculation is on, and its spec_decode_ figures are missing"),
        ({"spec_decode_num_drafts": 10}, "needs spec_decode_num_drafts, spec_decode_draft_tokens"),
        (SPECULATION, "speculation is on in all of them"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as error:
        bench.read([write(tmp_path, **changed)])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_all_faults_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    broken, rows = tmp_path / "broken.json", tmp_path / "rows.json"
    broken.write_text("{", "utf-8")
    rows.write_text("[1]", "utf-8")
    paths = [
        write(tmp_path, "a.json", failed=3),
        write(tmp_path, "b.json", model_id="another", max_concurrency=None),
        broken,
        rows,
        tmp_path / "none.json",
    ]
    with pytest.raises(InputError) as error:
        bench.read(paths)
    for said in (
        "a.json has 3 failed requests",
        "b.json has no positive max_concurrency",
        "broken.json is not one JSON",
        "rows.json holds a list",
        "none.json cannot be read",
        "several targets, another and made-up/model",
    ):
        assert said in str(error.value)
