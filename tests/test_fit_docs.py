"""What docs/fit.md shows to be typed can be typed, one after the other; the fits themselves are tested elsewhere."""

import re
import shlex
from pathlib import Path

import pytest

from tests.test_cli import invoke
from tests.test_trace_fit_acceptance import TRUTH as DIFFICULTY
from tests.test_trace_fit_routing import TRUTH as ROUTING
from traces import fitted_acceptance, fitted_routing
from traces.fitted import Fitted

ROOT = Path(__file__).parents[1]


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from studies import runner

    class Reached(Exception):
        pass

    def reached(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr(runner, "enter", reached)
    monkeypatch.setattr("reports.trace.render", lambda folder: [])
    monkeypatch.setattr(fitted_routing, "fitted", lambda trace, name, progress: Fitted(ROUTING, [], [], []))
    monkeypatch.setattr(fitted_acceptance, "fitted", lambda trace, name, progress: Fitted(DIFFICULTY, [], [], []))
    monkeypatch.chdir(tmp_path)
    example = (ROOT / "docs" / "fit.md").read_text("utf-8").partition("## An example")[2].partition("\n## ")[0]
    lines = re.findall(r"(?m)^draftodds (.*)$", example)
    assert [line.split()[:2] for line in lines].count(["trace", "fit"]) == 2
    for line in lines:
        argv = shlex.split(line)
        if argv[0] == "run":
            with pytest.raises(Reached):
                invoke(*argv)
            continue
        small = ["20" if argv[at - 1] in ("--requests", "--tokens") else word for at, word in enumerate(argv)]
        found = invoke(*small)
        assert (found.code, found.err) == (0, ""), line
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"routed", "stepped", "routed.toml", "stepped.toml"}


def test_every_option_is_documented() -> None:
    written = (ROOT / "docs" / "fit.md").read_text("utf-8")
    for command in ("fit", "synthesise"):
        found = invoke("trace", command, "--help")
        assert found.code == 0
        for option in set(re.findall(r"--[a-z][a-z-]+", found.out)) - {"--help"}:
            assert option in written, option
