"""The command line: its commands, what they print, and what they leave in a folder."""

import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest

from studies import catalog, cli, config, surfaces
from tests.test_npz import made_up, packed
from traces import profiles

ROOT = Path(__file__).parents[1]
FILES = {
    "explorer.json",
    "study.toml",
    "results.parquet",
    "best.parquet",
    "changes.parquet",
    "report.html",
    "manifest.json",
}


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def invoke(*argv: str) -> Outcome:
    """`draftodds ARGV...` inside this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.object(sys, "argv", ["draftodds", *argv]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else -1
    return Outcome(code, out.getvalue(), err.getvalue())


def command(*argv: str) -> list[str]:
    """`draftodds ARGV...` for a process of its own."""
    return [sys.executable, "-c", "from studies.cli import main; main()", *argv]


def sets(**keys: str) -> list[str]:
    """--set key=value for each of `keys`."""
    return [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]


def tiny(out: Path, *more: str, **keys: str) -> list[str]:
    """The arguments of a run of a second: a small target and two small batches."""
    given = {
        "target": "olmoe-1b-7b",
        "batch": "[1, 4]",
        "draft_length": "[0, 1, 2]",
        "worlds": "4",
        "world_requests": "8",
    } | keys
    return ["run", "optimal-k", *sets(**given), "--out", str(out), *more]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def words(text: str) -> str:
    """The text with every run of white space as one space: consoles break lines where they like."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "out"
    found = invoke(*tiny(out, "--quiet"))
    assert found == Outcome(0, "", "")
    return out


@pytest.mark.parametrize("argv", [[], ["run"], ["report"], ["list"]], ids=["", "run", "report", "list"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(argv: list[str], flag: str) -> None:
    found = invoke(*argv, flag)
    assert found.code == 0
    assert "Usage:" in found.out
    assert found.err == ""


def test_without_arguments_the_help_is_shown() -> None:
    found = invoke()
    assert found.code == 0
    for name in ("list", "run", "report"):
        assert name in found.out


def test_the_help_of_run_names_every_option_of_the_contract() -> None:
    shown = invoke("run", "--help").out
    for option in ("--config", "--set", "--trace", "--out", "--worlds", "--error", "--seed", "--fresh"):
        assert option in shown
    for option in ("--json", "--quiet"):
        assert option in shown


def test_list_shows_every_id() -> None:
    found = invoke("list")
    assert (found.code, found.err) == (0, "")
    for name in [*cli.STUDIES, *catalog.table("targets"), *catalog.table("hardware"), *profiles.shipped()]:
        assert re.search(rf"(?m)^\S.* {re.escape(name)} ", found.out), name
    for name in ("eagle-3", "free", "fraction:C", "ideal", "post", "uniform", "trace"):
        assert f" {name} " in found.out


def test_an_exact_study_refuses_acceptance_that_has_to_be_walked() -> None:
    for study in config.EXACT:
        found = invoke("run", study, "--set", "acceptance=eagle-1-vicuna-7b")
        assert (found.code, "`draftodds run optimal-k` walks" in found.err) == (2, True), found.err


def test_list_shows_nothing_that_is_not_built() -> None:
    shown = invoke("list").out.split()
    for later in catalog.LATER.values():
        assert not set(later) & set(shown)


def test_a_run_leaves_exactly_the_files_of_the_contract(folder: Path) -> None:
    left = set(contents(folder))
    figures = {name for name in left if name.startswith("figures/")}
    blocks = {name for name in left if name.startswith("blocks/")}
    assert left - figures - blocks == FILES
    assert blocks == {"blocks/scenario0-worlds0.npz"}
    stems = {name.rpartition(".")[0] for name in figures}
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")}
    assert len(stems) == 3


def test_the_manifest_lists_every_file_and_nothing_else(folder: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert sorted(listed) == sorted(contents(folder))


def test_no_file_holds_the_folders_place_or_the_host(folder: Path) -> None:
    import socket

    for name, content in contents(folder).items():
        assert str(folder).encode() not in content, name
        assert len(socket.gethostname()) < 4 or socket.gethostname().encode() not in content, name


def test_another_folder_gets_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert invoke(*tiny(tmp_path / "out", "--quiet")).code == 0
    again, first = contents(tmp_path / "out"), contents(folder)
    assert again.keys() == first.keys()
    assert [name for name in first if first[name] != again[name]] == []


def test_a_run_prints_the_answer_and_the_reports_place(folder: Path) -> None:
    found = invoke(*tiny(folder))
    assert found.code == 0
    assert f"Report: {folder / 'report.html'}" in found.out
    shown = words(found.out)
    grid = pl.read_parquet(folder / "results.parquet")
    for row in pl.read_parquet(folder / "best.parquet").iter_rows(named=True):
        at = grid.filter(batch=row["batch"], draft_length=row["recommended"]).row(0, named=True)
        assert f"{row['batch']} {row['recommended']} {at['speedup']:.2f}x" in shown


def test_json_is_one_document_and_nothing_else(folder: Path) -> None:
    found = invoke(*tiny(folder, "--json"))
    assert (found.code, found.err) == (0, "")
    document = json.loads(found.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["folder"] == str(folder)
    assert document["answer"]
    best = pl.read_parquet(folder / "best.parquet")
    assert [row["batch"] for row in document["best"]] == best["batch"].to_list()
    assert [row["speedup"] for row in document["best"]] == best["speedup"].to_list()


def test_json_of_a_grid_without_drafts_holds_null_and_no_nan(tmp_path: Path) -> None:
    keys = {"batch": "1", "draft_length": "0", "target": "llama-3-8b", "worlds": "2"}
    found = invoke(*tiny(tmp_path / "out", "--json", **keys))
    assert found.code == 0
    document = json.loads(found.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["best"][0]["best_draft_length"] == 0
    assert document["best"][0]["drafting_speedup"] is None


def test_quiet_prints_nothing(folder: Path) -> None:
    assert invoke(*tiny(folder, "--quiet")) == Outcome(0, "", "")


def test_report_draws_the_same_bytes_again(folder: Path) -> None:
    before = contents(folder)
    (folder / "report.html").unlink()
    for figure in (folder / "figures").iterdir():
        figure.unlink()
    found = invoke("report", str(folder))
    assert (found.code, found.err) == (0, "")
    assert "report.html" in found.out
    assert contents(folder) == before


def grid_of(found: Outcome, out: Path) -> pl.DataFrame:
    assert found == Outcome(0, "", "")
    return pl.read_parquet(out / "results.parquet")


def test_num_speculative_tokens_is_draft_length(tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["run", "optimal-k", *sets(target="olmoe-1b-7b", batch="4", num_speculative_tokens="[0, 2]")]
    grid = grid_of(invoke(*argv, *sets(worlds="2", world_requests="4"), "--out", str(out), "--quiet"), out)
    assert grid["draft_length"].to_list() == [0, 2]
    assert grid["batch"].to_list() == [4, 4]


def test_options_beat_set(tmp_path: Path) -> None:
    out = tmp_path / "out"
    keys = {"batch": "1", "draft_length": "1", "target": "llama-3-8b", "seed": "3"}
    grid = grid_of(invoke(*tiny(out, "--quiet", "--worlds", "3", "--seed", "7", **keys)), out)
    assert grid["worlds"].to_list() == [3]
    metadata = json.loads(pl.read_parquet_metadata(out / "results.parquet")["draftodds"])
    assert metadata["meta"]["seed"] == 7


def scenarios_of(monkeypatch: pytest.MonkeyPatch, *argv: str) -> list[str]:
    """The targets of the scenarios that a run would study."""
    from studies import runner

    seen: list[str] = []

    def stop(study: object, name: str, resolved: object, *_: object, **__: object) -> None:
        seen.extend(scenario.target for scenario in resolved.scenario)  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "enter", stop)
    assert invoke("run", "optimal-k", *argv).code == 130
    return seen


def test_grids_worlds_and_seed_keep_the_default_studys_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["gpt-oss-120b", "deepseek-v4-flash"]
    assert scenarios_of(monkeypatch) == both
    grids = sets(batch="[1, 2]", draft_length="[0, 1]", context_tokens="1024", num_speculative_tokens="3")
    assert scenarios_of(monkeypatch, *grids, "--worlds", "4", "--seed", "2") == both
    assert scenarios_of(monkeypatch, *sets(worlds="4", world_requests="8", seed="1"), "--quiet") == both


@pytest.mark.parametrize("key", ["target=gpt-oss-20b", "hardware=b200-sxm", "drafter=free", "acceptance=0.5"])
def test_naming_anything_else_asks_for_one_scenario(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert len(scenarios_of(monkeypatch, "--set", key)) == 1


def test_the_resolved_study_gives_the_same_results_again(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "again.toml"
    copy.write_bytes((folder / "study.toml").read_bytes())
    out = tmp_path / "out"
    found = invoke("run", "optimal-k", "--config", str(copy), "--out", str(out), "--quiet")
    assert found == Outcome(0, "", "")
    for name in ("study.toml", "results.parquet", "best.parquet", "changes.parquet", "report.html"):
        assert (out / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_version_of_the_files_is_in_their_metadata(folder: Path) -> None:
    for name in ("results.parquet", "best.parquet", "changes.parquet"):
        metadata = json.loads(pl.read_parquet_metadata(folder / name)["draftodds"])
        assert {"seed", "versions", "trace_sha256"} <= metadata["meta"].keys()
        assert "draftodds" in metadata["meta"]["versions"]


def test_the_trace_is_named_by_its_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(surfaces, "WORLD_WINDOWS", 1)  # it is the digest that is tested

    trace, out = tmp_path / "made-up.npz", tmp_path / "out"
    content = packed(**made_up())
    trace.write_bytes(content)
    found = invoke(*tiny(out, "--quiet", "--trace", str(trace), worlds="2", world_requests="4", batch="1"))
    assert found == Outcome(0, "", "")
    metadata = json.loads(pl.read_parquet_metadata(out / "results.parquet")["draftodds"])
    assert metadata["meta"]["trace_sha256"] == hashlib.sha256(content).hexdigest()
    assert pl.read_parquet(out / "results.parquet")["routing"].unique().to_list() == ["trace"]


def test_as_a_process_of_its_own(folder: Path, tmp_path: Path) -> None:
    found = subprocess.run(command("list"), capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert "olmoe-1b-7b" in found.stdout
    out = tmp_path / "out"
    run = subprocess.run(command(*tiny(out, "--json")), capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["folder"] == str(out)
    for name in ("results.parquet", "best.parquet", "report.html"):
        assert (out / name).read_bytes() == (folder / name).read_bytes(), name
