"""What commands print: tables that fit the terminal with no word broken, nothing a terminal would obey."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from reports import page
from studies import cli_answer, results
from studies.results import Results
from tests.compared_runs import EXACT, SMALL, ran
from tests.test_validate import PRIORS, engine
from tests.test_validate import run as validated
from tests.test_validate import write as measured

WIDTH = 80


def printed(headings: list[str], rows: list[list[str]], width: int = WIDTH) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for table in cli_answer._tables(headings, rows, width):
        console.print(table)
    return out.getvalue().splitlines()


def test_a_table_that_fits_is_one_table() -> None:
    assert printed(["batch", "speedup"], [["1", "2  +3 %"], ["512", "does not fit"]]) == [
        "batch       speedup",
        "    1       2  +3 %",
        "  512  does not fit",
    ]


def test_a_wider_one_is_several_with_the_first_column_again() -> None:
    cells = [f"cell of column {at}" for at in range(8)]
    lines = printed(["what", *(f"heading {at}" for at in range(8))], [["first row", *cells]])
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.startswith("first row") for line in lines) == 3
    assert [cell for cell in cells if sum(cell in line for line in lines) != 1] == []
    assert [at for at in range(8) if sum(f"heading {at}" in line for line in lines) != 1] == []


def test_headings_break_between_words_and_cells_nowhere() -> None:
    rows = [["throughput gain", *["100 %"] * 9]]
    lines = printed(["quantity", *["inside 90 %"] * 9], rows)
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert text.count("inside") == text.count("100 %") == 9
    assert "throughput gain" in text


def test_cells_are_words_not_markup() -> None:
    assert "[bold]a[/red]" in "\n".join(printed(["x", "[/y]"], [["1", "[bold]a[/red]"]]))


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    """Results of the studies that are quickly run."""
    place = tmp_path_factory.mktemp("every")
    held = {"optimal-k": ran(place / "optimal-k", **SMALL)}
    held["economics"] = ran(place / "economics", "economics", **EXACT)
    held["frontier"] = ran(place / "frontier", "frontier", **EXACT | {"seconds_per_token": "0.01"})
    rows = measured(place / "mine.csv", engine(PRIORS.median(), 0.0, 0))
    return {study: results.read(folder) for study, folder in held.items()} | {"validate": validated(rows)}


@pytest.mark.parametrize("study", ["optimal-k", "economics", "frontier", "validate"])
def test_every_study_fits_the_terminal_and_names_its_files(
    every: dict[str, Results], study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    found = every[study]
    cli_answer.say(found, Path("out/here"), as_json=False, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    files = [line for line in lines if line.startswith(("Results: ", "Report: "))]
    assert files[0].startswith("Results: out/here/results.parquet, ")
    assert ("best.parquet" in files[0]) == ("best" in found.frames)
    assert files[1] == "Report: out/here/report.html"
    assert max(len(line) for line in lines if line not in files) <= WIDTH
    notes = [note for held in found.notes.values() for note in held]
    assert sum(line.startswith("- ") for line in lines) == len(set(notes))


@pytest.mark.parametrize("study", ["optimal-k", "economics", "frontier", "validate"])
def test_json_is_one_document_and_quiet_is_silent(
    every: dict[str, Results], study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli_answer.say(every[study], Path("out"), as_json=True, quiet=False)
    json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    cli_answer.say(every[study], Path("out"), as_json=False, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_frames_go_to_pandas_with_the_same_values(every: dict[str, Results]) -> None:
    found = every["optimal-k"]
    for name, frame in found.frames.items():
        held = found.to_pandas(name)
        assert (list(held.columns), len(held)) == (frame.columns, frame.height)
        for column in frame.columns:
            pairs = zip(frame[column].to_list(), held[column].tolist(), strict=True)
            assert all(ours == theirs or (ours is None and pd.isna(theirs)) for ours, theirs in pairs), (name, column)


def test_figures_are_objects_under_the_names_of_their_files(tmp_path: Path) -> None:
    folder = ran(tmp_path / "out", **SMALL)
    files = {Path(name).stem for name in page.render(folder) if name.endswith(".png")}
    figures = page.figures_of(str(folder))
    assert set(figures) == files
    for name, figure in figures.items():
        assert figure.axes, name
        figure.set_size_inches(3, 2)
        figure.texts[0].set_text("another title")
        figure.savefig(tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
