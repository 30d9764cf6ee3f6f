"""What the README shows to be typed can be typed."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from tests.test_cli import invoke

ROOT = Path(__file__).parents[1]


def shown_commands() -> list[str]:
    """The `draftodds ...` lines in the README's code blocks."""
    blocks = re.findall(r"(?ms)^```[^\n]*\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"))
    joined = "\n".join(blocks).replace("\\\n", " ")
    return re.findall(r"(?m)^\s*(?:\$ )?(draftodds .*)$", joined)


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 5


@pytest.mark.parametrize("line", shown_commands())
def test_the_readmes_commands_exist(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    from reports import page
    from studies import results, runner

    class Reached(Exception):
        pass

    def reached(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr(runner, "enter", reached)
    monkeypatch.setattr(results, "read", reached)
    monkeypatch.setattr(page, "render", reached)
    monkeypatch.chdir(ROOT)
    argv = shlex.split(line, comments=True)[1:]
    for word in argv:
        if word.startswith("../") and not (ROOT / word).exists():
            pytest.skip(f"needs the shared data: {word} is no file")
    with contextlib.suppress(Reached):
        found = invoke(*argv)
        assert found.code == 0, f"{line}: {found.err}"
