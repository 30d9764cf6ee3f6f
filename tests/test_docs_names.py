"""What the documentation names exists: commands, options, keys, studies, columns, files; and what exists is named."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from studies import cli, cli_calibrate, config
from studies.columns import FILES
from tests.markdown import Markdown

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMANDS: Any = typer.main.get_command(cli.app)
KEYS = config.STUDY_KEYS | config.SCENARIO_KEYS | set(config.ALIASES) | set(cli_calibrate.KEYS)
HIDDEN = {"--scheduler"}  # of what is not built yet


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def shown(page: Markdown) -> list[list[str]]:
    """The words of every command of `draftodds` in a page, run or not, in blocks and in the text."""
    lines = [line for block in page.blocks if block.language in ("sh", "text") for line in block.commands]
    return [words(line) for line in [*lines, *page.inline] if re.match(r"draftodds( |$)", line)]


def words(line: str) -> list[str]:
    """The words of a command; brackets and bars of a synopsis are taken off."""
    plain = line if "'" in line else re.sub(r"[\[\]|]", " ", line)
    return shlex.split(plain, comments=True)[1:]


def faults(argv: list[str]) -> list[str]:
    """What a command names that is not there."""
    command, rest = COMMANDS, argv
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return [f"no command {rest[0]}"]
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    found = [f"no option {word}" for word in rest if word.startswith("--") and word not in options - HIDDEN]
    if command.name == "run" and rest and rest[0] not in {*cli.STUDIES, "STUDY"}:
        found.append(f"no study {rest[0]}")
    keys = [value.partition("=")[0] for word, value in pairwise(rest) if word == "--set"]
    return found + [f"no key {key}" for key in keys if key not in KEYS]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_options_keys_and_studies_exist(page: Path) -> None:
    assert [(argv, found) for argv in shown(Markdown.read(page)) if (found := faults(argv))] == []


def test_what_does_not_exist_is_found() -> None:
    for line, said in (
        ("draftodds runs optimal-k", "no command runs"),
        ("draftodds trace fits DIR", "no command fits"),
        ("draftodds run optimal-k --sat batch=1", "no option --sat"),
        ("draftodds run optimal --worlds 3", "no study optimal"),
        ("draftodds run stress --set context=4096", "no key context"),
        ("draftodds run stress [--scheduler A]", "no option --scheduler"),
    ):
        assert faults(words(line)) == [said]
    assert faults(words("draftodds run STUDY [--config F.toml] [--worlds N | --error E]")) == []


def test_every_option_is_said_somewhere() -> None:
    """In a page of docs/, as `--option`; the usual ones (--help) apart."""
    said = "".join(page.read_text("utf-8") for page in PAGES)

    def options(command: Any) -> set[str]:
        inner = [options(each) for each in getattr(command, "commands", {}).values()]
        own = {option for parameter in command.params if not parameter.hidden for option in parameter.opts}
        return own.union(*inner)

    found = {option for option in options(COMMANDS) if option.startswith("--")} - {"--help"}
    assert len(found) > 15
    assert sorted(option for option in found if not re.search(rf"{option}(?![\w-])", said)) == []


def section(page: Path, heading: str) -> str:
    return page.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """What stands in backticks in the first cell of every row of its tables."""
    rows = re.findall(r"(?m)^\| (.*?) \|", text)
    return [word for cell in rows for word in re.findall(r"`([^`]+)`", cell)]


def test_every_key_is_in_the_table_of_keys() -> None:
    keys = set(first_cells(section(ROOT / "docs" / "configuration.md", "Keys")))
    assert keys == (config.STUDY_KEYS | config.SCENARIO_KEYS)


@pytest.mark.parametrize("study", sorted(cli.STUDIES))
def test_columns_and_files_that_are_documented_exist(study: str) -> None:
    """In the tables of a study's results: a file's name, or a column of one of its files."""
    page = {"stress": "stress.md", "validate": "validation.md"}.get(study, "configuration.md")
    heading = {"stress": "Results", "validate": "Your own measurements"}.get(study, f"Results of {study}")
    text = section(ROOT / "docs" / page, heading)
    files = set(re.findall(r"`(\w+)\.parquet`", text))
    assert files
    assert files <= set(FILES[study])
    if page != "configuration.md":
        return
    columns = {column for schema in FILES[study].values() for column in schema}
    named = [word for word in first_cells(text) if not word.endswith(".parquet")]
    spelled = [f"{word.rpartition('_')[0]}_{end}" if at else word for word, at, end in _spelled(named)]
    assert [word for word in spelled if word not in columns] == []


def _spelled(named: list[str]) -> list[tuple[str, int, str]]:
    """`speedup_p05/p50/p95` as three columns."""
    return [(word.split("/")[0], at, end) for word in named for at, end in enumerate(word.split("/"))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    """A path in backticks that begins with one of its folders."""
    rooms = r"(?:montecarlo|traces|studies|reports|tests|docs)/[\w./-]*"
    named = [word for word in Markdown.read(page).inline if re.fullmatch(rooms, word)]
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_figures_are_those_that_are_drawn_and_small() -> None:
    """docs/draw.py draws all but the rooms, which are drawn by hand."""
    drawn = re.findall(r'"([\w-]+)": "[\w-]+"', (ROOT / "docs" / "draw.py").read_text("utf-8"))
    figures = {path.stem: path for path in (ROOT / "docs" / "figures").iterdir()}
    assert set(drawn) | {"rooms"} == set(figures)
    for path in figures.values():
        assert path.suffix == ".svg"
        assert path.stat().st_size < 120_000
        assert "<script" not in path.read_text("utf-8")
        assert re.findall(r'(?:href|src)="(?!#)[^"]*"', path.read_text("utf-8")) == []
