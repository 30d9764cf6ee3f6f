"""A user's CSV of measurements: groups as written, and every fault at once, each with its line."""

from pathlib import Path

import pytest

from montecarlo.errors import InputError
from studies import measured
from tests.measured_rows import HEADER, row, write

DRAFTED = {"draft_length": 3, "tokens_per_step": 2.5}


def test_rows_come_back_by_engine_and_text(tmp_path: Path) -> None:
    lines = [
        row(text="code", **DRAFTED),
        row(text="code"),
        "",
        row(text="chat", concurrency=4, prompt_tokens=100, output_tokens=50, seconds_per_token=0.02),
        row(text="chat", hardware="", devices=""),
    ]
    groups = measured.read(str(write(tmp_path / "mine.csv", lines)))
    assert [(group.text, group.hardware, group.devices) for group in groups] == [
        ("code", "h100-sxm", 1),
        ("chat", "h100-sxm", 1),
        ("chat", None, None),
    ]
    code, chat, _ = (group.rows for group in groups)
    assert code["draft_length"].to_list() == [0, 3]
    assert code["tokens_per_step"].to_list() == [1, 2.5]
    assert code["tokens_per_step_error"].to_list() == [0, 0]
    assert code["seconds_per_token"].to_list() == [None, None]
    assert chat.select("prompt_tokens", "output_tokens", "seconds_per_token").row(0) == (100, 50, 0.02)


def test_columns_may_stand_in_any_order_and_behind_a_mark_of_byte_order(tmp_path: Path) -> None:
    cells = [line.split(",") for line in (HEADER, row(), row(**DRAFTED))]
    text = "\n".join(",".join(reversed(line)) for line in cells)
    (tmp_path / "mine.csv").write_text(text, "utf-8-sig")
    assert measured.read(str(tmp_path / "mine.csv"))[0].rows["draft_length"].to_list() == [0, 3]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target": "gpt-5"}, "1 rows with target 'gpt-5', which is not in the catalogue (first: line 2)"),
        ({"hardware": "h1000"}, "1 rows with hardware 'h1000', which is not in the catalogue (first: line 2)"),
        ({"target": ""}, "1 rows without target (first: line 2)"),
        ({"source": ""}, "1 rows without source"),
        ({"concurrency": ""}, "1 rows without concurrency"),
        ({"concurrency": "1.5"}, "values of concurrency that are not whole"),
        ({"concurrency": "0"}, "values of concurrency that are no positive number"),
        ({"draft_length": "-1"}, "values of draft_length that are no number of 0 or more"),
        ({"step_seconds": "fast"}, "values of step_seconds that are no positive number"),
        ({"step_seconds": "nan"}, "values of step_seconds that are no positive number"),
        ({"step_seconds": ""}, "1 rows without any of step_seconds, seconds_per_token, tokens_per_second"),
        ({"devices": ""}, "rows with hardware or devices alone"),
        ({"prompt_tokens": "100"}, "rows with prompt_tokens or output_tokens alone"),
        ({"tokens_per_step": "2"}, "rows without drafts whose tokens_per_step is not 1"),
        ({"draft_length": "3"}, "rows with drafts and no tokens_per_step"),
        ({"draft_length": "3", "tokens_per_step": "4.5"}, "tokens_per_step is not from 1 to draft_length + 1"),
        (DRAFTED, "1 rows with drafts and none without at the same engine, text and concurrency (first: line 2)"),
    ],
)
def test_a_fault_of_a_row_is_named_with_its_line(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as error:
        measured.read(str(write(tmp_path / "mine.csv", [row(**changed)])))
    assert said in str(error.value)


def test_all_faults_are_said_at_once_with_counts_and_first_lines(tmp_path: Path) -> None:
    lines = [row(), row(), row(step_seconds="x"), row(concurrency=4, target="y"), "1,2", row(concurrency=2, **DRAFTED)]
    with pytest.raises(InputError) as error:
        measured.read(str(write(tmp_path / "mine.csv", lines)))
    for said in (
        "2 rows that repeat another's engine, text, concurrency and draft_length (first: line 3)",
        "1 values of step_seconds that are no positive number (first: line 4)",
        "1 rows with target 'y'",
        "1 rows of another length than the header's 15 cells (first: line 6)",
        "1 rows with drafts and none without",
    ):
        assert said in str(error.value)


def test_rows_that_measure_different_things_cannot_be_compared(tmp_path: Path) -> None:
    lines = [row(), row(**DRAFTED, step_seconds="", seconds_per_token=0.01)]
    with pytest.raises(InputError, match="measure nothing the row without does"):
        measured.read(str(write(tmp_path / "mine.csv", lines)))


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("target,speed\na,b\n", "utf-8")
    with pytest.raises(InputError, match=r"no column .*concurrency.*unknown column speed"):
        measured.read(str(tmp_path / "mine.csv"))
    (tmp_path / "empty.csv").write_text(HEADER, "utf-8")
    with pytest.raises(InputError, match="no rows"):
        measured.read(str(tmp_path / "empty.csv"))
    with pytest.raises(InputError, match="cannot be read"):
        measured.read(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="did you mean 'gpt-oss-120b-h200'"):
        measured.read("gpt-oss-120b-h20")
