"""What the README shows to be typed can be typed."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from tests.routing_traces import lines, routed
from tests.test_bench import write as bench
from tests.test_cli import invoke
from tests.test_import_vllm import response
from traces import importers

ROOT = Path(__file__).parents[1]


def shown_commands() -> list[str]:
    """The `draftodds ...` lines in the README's code blocks."""
    blocks = re.findall(r"(?ms)^```[^\n]*\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"))
    joined = "\n".join(blocks).replace("\\\n", " ")
    return re.findall(r"(?m)^\s*(?:\$ )?(draftodds .*)$", joined)


def _recorded(folder: Path, as_responses: bool) -> None:
    """What the README's reader has: responses with gpt-oss-20b's routed experts, or the trace made of them."""
    rows = [response(routed(9, 24, 32, 4, seed), 4, f"cmpl-{seed}") for seed in range(2)]
    file = lines(folder / "responses.jsonl", *rows)
    if not as_responses:
        importers.read([file], folder / "traces" / "mine")


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 5


@pytest.mark.parametrize("line", shown_commands())
def test_the_readmes_commands_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    from reports import page
    from studies import results, runner
    from traces import fitted_routing, synthesise_trace

    class Reached(Exception):
        pass

    def reached(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr(runner, "enter", reached)
    monkeypatch.setattr(results, "read", reached)
    monkeypatch.setattr(page, "render", reached)
    monkeypatch.setattr(fitted_routing, "fitted", reached)
    monkeypatch.setattr(synthesise_trace, "synthesise_trace", reached)
    monkeypatch.chdir(ROOT)
    if "responses.jsonl" in line or "traces/mine" in line:
        monkeypatch.chdir(tmp_path)
        _recorded(tmp_path, "responses.jsonl" in line)
    if "=routing.toml" in line:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "routing.toml").write_bytes((ROOT / "traces" / "profiles" / "gpt-oss-20b.toml").read_bytes())
    if "c1.json" in line:
        monkeypatch.chdir(tmp_path)
        for row, name in ((0, "c1.json"), (4, "c16.json")):
            bench(tmp_path, name, row)
    argv = shlex.split(line, comments=True)[1:]
    for word in argv:
        if word.startswith("../") and not (ROOT / word).exists():
            pytest.skip(f"needs the shared data: {word} is no file")
    with contextlib.suppress(Reached):
        found = invoke(*argv)
        assert found.code == 0, f"{line}: {found.err}"
