"""The documentation: links lead somewhere, every file is found from the README, and what it shows to be typed runs.

What is run: the `draftodds` lines of every ```sh block and every ```python block, in the order of the page, in an empty
folder beside which only `docs/` of the project can be seen. So that this stays affordable a study is run with WORLDS
worlds, a trace is synthesised of at most REQUESTS requests, and `trace fit` finds a process that is known: what is
tested is that a command works, and not its answer. Not run: ```text (what is printed, and how a command is called), and
blocks after `<!-- not run: why -->`.
"""

import contextlib
import importlib.util
import io
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from studies import config
from studies.cli import STUDIES
from tests.markdown import INDENTED, Block, Markdown, broken, reached
from tests.test_cli import invoke
from tests.test_trace_fit_acceptance import TRUTH as DIFFICULTY
from tests.test_trace_fit_routing import TRUTH as ROUTING
from traces import fitted_acceptance, fitted_routing
from traces.fitted import Fitted

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LANGUAGES = {"sh", "python", "text", "toml", "sql", "mermaid"}
WORLDS, REQUESTS = 4, 24
OTHERS = {"make", "source", "git", "cd", "python", "vllm", "pip"}  # typed, and not run here


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def small(argv: list[str]) -> list[str]:
    """The command with few worlds, or few requests."""
    if argv[0] == "run" and argv[1] not in config.EXACT:
        for option in ("--worlds", "--error"):
            if option in argv:
                del argv[argv.index(option) : argv.index(option) + 2]
        return [*argv, "--worlds", f"{WORLDS}"]
    if argv[:2] == ["trace", "synthesise"]:
        at = argv.index("--requests") + 1
        return [*argv[:at], f"{min(int(argv[at]), REQUESTS)}", *argv[at + 1 :]]
    return argv


def run(page: Markdown) -> None:
    """Run what a page shows to be typed, here. Raises AssertionError at a fault."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in page.blocks:
        place = f"{page.path.name}, line {block.line}"
        if block.why is None and block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * block.line + block.code, str(page.path), "exec"), names)
        if block.why is None and block.language == "sh":
            for line in block.commands:
                command(line, place)


def command(line: str, place: str) -> None:
    """Run a `draftodds` line; look that what else is typed is there."""
    first, *rest = shlex.split(line, comments=True)
    assert first in OTHERS | {"draftodds"}, f"{place}: {line}: what is this?"
    if first == "draftodds":
        found = invoke(*small(rest))
        assert (found.code, found.err) == (0, ""), f"{place}: {line}: {found.err}"
    elif first == "make":
        assert re.search(rf"(?m)^{rest[0]}:", (ROOT / "Makefile").read_text("utf-8")), f"{place}: no target {rest[0]}"
    elif first == "python" and rest[0] == "-m":
        assert importlib.util.find_spec(rest[1]), f"{place}: no module {rest[1]}"
    elif first == "python":
        assert (ROOT / rest[0]).is_file(), f"{place}: no file {rest[0]}"


def typed() -> list[str]:
    """The commands of all pages."""
    blocks = [block for page in PAGES for block in Markdown.read(page).blocks]
    lines = [line for block in blocks if block.language == "sh" and block.why is None for line in block.commands]
    return [line for line in lines if line.startswith("draftodds ")]


def runs(page: Path) -> bool:
    return any(block.language in ("sh", "python") and block.why is None for block in Markdown.read(page).blocks)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(Markdown.read(page), ROOT) == []


def test_every_file_is_found_from_the_readme() -> None:
    found = reached(ROOT / "README.md")
    assert sorted(name(page) for page in PAGES if page not in found) == []
    said = "".join(page.read_text("utf-8") for page in PAGES)
    files = [path for path in (ROOT / "docs").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [name(path) for path in files if path not in found and path.name not in said] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_says_what_it_is(page: Path) -> None:
    """So that nothing that could be run is passed over."""
    read = Markdown.read(page)
    assert {block.language for block in read.blocks} <= LANGUAGES
    assert INDENTED.findall(read.prose) == []
    for block in read.blocks:
        if block.language == "toml":
            tomllib.loads(block.code)


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name)
def test_what_is_shown_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitted_routing, "fitted", lambda trace, name, progress: Fitted(ROUTING, [], [], []))
    monkeypatch.setattr(fitted_acceptance, "fitted", lambda trace, name, progress: Fitted(DIFFICULTY, [], [], []))
    run(Markdown.read(page))


def test_enough_is_run() -> None:
    """Of all pages together: 30 commands, every study, every command that makes or reads a trace."""
    shown = [shlex.split(line, comments=True)[1:] for line in typed()]
    assert len(shown) >= 30
    assert {argv[1] for argv in shown if argv[0] == "run"} == set(STUDIES)
    assert {argv[1] for argv in shown if argv[0] == "trace"} >= {"import", "describe", "fit", "synthesise", "export"}
    reasons = [block.why for page in PAGES for block in Markdown.read(page).blocks if block.why is not None]
    assert all(len(why) > 10 for why in reasons)


def test_no_two_commands_write_to_one_place() -> None:
    """Who types one page after the other in one folder is never refused."""
    places: dict[str, set[str]] = {}
    for line in typed():
        argv = shlex.split(line, comments=True)[1:]
        usual = f"out/{argv[1]}" if argv[0] == "run" else ""
        place = argv[argv.index("--out") + 1] if "--out" in argv else usual
        places.setdefault(place, set()).add(line)
    assert len(places) > 20
    assert {place: lines for place, lines in places.items() if place and len(lines) > 1} == {}


def test_a_broken_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative controls: each fault of a page is seen."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A b, `c`\n[x](#a-b-c) [y](#a-b) [z](none.md) [w](http://a) ![v](page.md#a-b-c)\n", "utf-8")
    assert broken(Markdown.read(page), tmp_path) == [
        "#a-b: no such heading",
        "none.md: no such file",
        "http://a: not https",
    ]
    (tmp_path / "other.md").write_text("[one](page.md)", "utf-8")
    assert reached(tmp_path / "other.md") == {page, tmp_path / "other.md"}
    assert reached(page) == {page}
    for code, fault in (
        ("```python\nx = 1\n```\n```python\nassert x == 2, 'x is 1'\n```\n", "x is 1"),
        ("```sh\ndraftodds run optimal-k --set target=none\n```\n", "none"),
        ("```sh\nmake nothing\n```\n", "no target nothing"),
        ("```sh\npython -m tests.bench.nothing\n```\n", "no module"),
        ("```sh\nrm x\n```\n", "what is this"),
    ):
        page.write_text(code, "utf-8")
        with pytest.raises(AssertionError, match=fault):
            run(Markdown.read(page))
    page.write_text("<!-- not run: it fails -->\n```python\nassert False\n```\n```text\ndraftodds no\n```\n", "utf-8")
    run(Markdown.read(page))
    assert Markdown.read(page).blocks[0] == Block("python", "assert False\n", 2, "it fails")
    assert INDENTED.findall("x\n\n    draftodds list\n") == ["    draftodds list"]
