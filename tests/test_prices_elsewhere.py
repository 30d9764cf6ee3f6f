"""Prices asked for where they were not calibrated, and runs of another model: said, never passed over."""

from pathlib import Path

import pytest

from montecarlo.errors import InputError
from studies import bench, choices, cli_calibrate, config, scenario
from studies.prices import File

EXAMPLE = Path(__file__).parents[1] / "docs" / "example"
FITTED = 'target = "gpt-oss-120b"\nhardware = "h200-sxm"\n[terms.bandwidth]\nvalue = 0.8\n'


@pytest.mark.parametrize(
    ("target", "hardware", "said"),
    [("gpt-oss-120b", "h200-sxm", False), ("gpt-oss-20b", "h200-sxm", True), ("gpt-oss-120b", "b200-sxm", True)],
)
def test_prices_of_another_target_or_device_are_noted(tmp_path: Path, target: str, hardware: str, said: bool) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(FITTED)
    sets = [f"target={target}", f"hardware={hardware}", f"prices={file}"]
    notes: list[str] = []
    choices.priced(scenario.fill("optimal-k", config.resolve("optimal-k", None, sets, {})).scenario[0], notes)
    noted = [note for note in notes if "calibrated on gpt-oss-120b on h200-sxm" in note]
    assert len(noted) == said
    assert all(f"{target} on {hardware}" in note for note in noted)


def test_a_file_that_says_nothing_of_it_is_foreign_nowhere() -> None:
    assert File().foreign("gpt-oss-120b", "h200-sxm") == ""


@pytest.mark.parametrize(
    ("served", "target", "warned"),
    [
        ("openai/gpt-oss-120b", "gpt-oss-120b", False),
        ("openai/gpt-oss-120b", "qwen3-30b-a3b", True),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b", False),
        ("openai/gpt-oss-120b", "mine.toml", False),
    ],
)
def test_runs_of_another_model_are_warned_of(served: str, target: str, warned: bool) -> None:
    said = cli_calibrate._another(served, target)
    assert len(said) == warned
    assert all(served in one and target in one for one in said)


def test_a_run_given_twice_is_refused() -> None:
    one = EXAMPLE / "bench-c1.json"
    with pytest.raises(InputError, match="is given twice; a run counts once"):
        bench.read([one, one])
    with pytest.raises(InputError, match="given twice"):
        bench.read([one, EXAMPLE / ".." / "example" / one.name])
