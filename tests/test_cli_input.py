"""Bad input: exit 2, one line that says what was given and what is allowed, and nothing lost."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports import page
from studies import catalog, optimal_k, runner
from tests.mistakes import ROWS, run
from tests.mistakes_in_files import GOOD, traced
from tests.test_cli import Outcome, command, contents, invoke, tiny


class Reached(Exception):
    """The simulation would have begun."""


@pytest.fixture
def unsimulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not refused fails here rather than being simulated."""

    def reached(*_: object) -> None:
        raise Reached("it was not refused")

    monkeypatch.setattr(optimal_k, "tasks", reached)
    monkeypatch.setattr(page, "render", reached)


def refused(found: Outcome, *said: str) -> None:
    """Exit 2, nothing on stdout, one line on stderr with all the words."""
    assert found.out == ""
    assert found.err.startswith("draftodds: ")
    assert len(found.err.splitlines()) == 1
    assert found.err.endswith("\n")
    assert found.code == 2, found.err
    assert [word for word in said if word not in found.err] == [], found.err


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_is_refused_in_one_line_and_nothing_is_lost(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    for file, content in row.files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content(tmp_path))
    argv = [part.replace("@", str(tmp_path)) for part in row.argv]
    if argv[0] == "run" and "--out" not in argv:
        argv += ["--out", str(tmp_path / "out")]
    before = contents(tmp_path)
    refused(invoke(*argv), *row.words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["no such option", "trace: missing"])
def test_the_same_as_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    argv = [part.replace("@", str(tmp_path)) for part in ROWS[name].argv]
    found = subprocess.run(command(*argv), capture_output=True, text=True, check=False, cwd=tmp_path)
    refused(Outcome(found.returncode, found.stdout, found.stderr), *ROWS[name].words)
    assert contents(tmp_path) == {}


def test_every_id_of_the_field_that_is_not_built_is_refused_by_name(unsimulated: None, tmp_path: Path) -> None:
    for what, names in catalog.LATER.items():
        for name in names:
            found = invoke(*run(**{what: name}), "--out", str(tmp_path / "out"))
            refused(found, f"{what} '{name}' is not built yet")


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A new folder anyone may enter, as a user who is not root."""
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if user == 0:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def drop() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("t.npz", traced()),
        ("c.toml", run("--config", "@/c.toml")),
        ("own.toml", run(target="@/own.toml")),
        ("own.toml", run(hardware="@/own.toml")),
        ("own.toml", run(routing="@/own.toml")),
        ("own.toml", run(acceptance="@/own.toml")),
    ],
    ids=["trace", "config", "target", "hardware", "routing", "acceptance"],
)
def test_a_file_that_may_not_be_read(name: str, argv: list[str]) -> None:
    with unprivileged() as folder:
        (folder / name).write_bytes(GOOD)
        (folder / name).chmod(0)
        drop()
        found = invoke(*(part.replace("@", str(folder)) for part in argv), "--out", str(folder / "out"))
        refused(found, name, "cannot be read", "Permission denied")


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "closed"])
@pytest.mark.parametrize("below", ["", "out"], ids=["itself", "below"])
def test_a_folder_that_may_not_be_written(mode: int, below: str) -> None:
    with unprivileged() as folder:
        held = folder / "held"
        held.mkdir(mode=mode)
        drop()
        refused(invoke(*run("--out", str(held / below))), str(held / below), "Permission denied", "--out")


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("below", ["", "cache"], ids=["itself", "below"])
def test_a_cache_that_may_not_be_entered_stops_nothing(monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    with unprivileged() as folder:
        (folder / "home").mkdir(mode=0)
        (folder / "results").mkdir(mode=0o777)
        (folder / "results").chmod(0o777)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home" / below))
        drop()
        with pytest.raises(Reached):
            invoke(*run("--out", str(folder / "results" / "out")))


def test_results_that_may_not_be_read(tmp_path: Path) -> None:
    assert invoke(*tiny(tmp_path / "out", "--quiet")).code == 0
    with unprivileged() as folder:
        shutil.copytree(tmp_path / "out", folder / "out")
        for path in (folder / "out").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0)
        drop()
        refused(invoke("report", str(folder / "out")), str(folder / "out"), "Permission denied")


def test_a_report_that_may_not_be_written(tmp_path: Path) -> None:
    assert invoke(*tiny(tmp_path / "out", "--quiet")).code == 0
    with unprivileged() as folder:
        shutil.copytree(tmp_path / "out", folder / "out")
        (folder / "out" / "figures").chmod(0o555)
        drop()
        refused(invoke("report", str(folder / "out")), str(folder / "out"), "Permission denied")


def test_other_results_are_kept_unless_fresh_which_leaves_a_strangers_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke(*tiny(out, "--quiet", "--seed", "1")).code == 0
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "mine.svg").write_text("mine")
    before = contents(out)
    refused(
        invoke(*tiny(out, "--quiet", "--seed", "2")), "another configuration", "'seed = 1'", "'seed = 2'", "--fresh"
    )
    assert contents(out) == before
    keys = {"target": "llama-3-8b", "batch": "1"}
    assert invoke(*tiny(out, "--quiet", "--fresh", "--seed", "2", **keys)) == Outcome(0, "", "")
    after = contents(out)
    assert after["notes.txt"] == after["figures/mine.svg"] == b"mine"
    fresh = tmp_path / "fresh"
    assert invoke(*tiny(fresh, "--quiet", "--seed", "2", **keys)).code == 0
    assert {name: held for name, held in after.items() if held != b"mine"} == contents(fresh)


def test_a_stranger_in_the_folder_survives_a_resumed_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke(*tiny(out, "--quiet")).code == 0
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    assert invoke(*tiny(out, "--quiet")).code == 0
    assert contents(out) == before


@pytest.mark.parametrize("listed", ["../kept.txt", "figures/../../kept.txt", "{tmp}/kept.txt", "link.txt"])
def test_a_manifest_deletes_nothing_outside_its_folder(tmp_path: Path, listed: str) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept.txt"
    kept.write_text("kept")
    out.mkdir()
    (out / "figures").mkdir()
    (out / "link.txt").symlink_to(kept)
    content = {"digest": "0" * 64, "files": ["manifest.json", listed.replace("{tmp}", str(tmp_path))]}
    (out / "manifest.json").write_text(json.dumps(content))
    assert invoke(*tiny(out, "--quiet", "--fresh", batch="1", target="llama-3-8b")).code == 0
    assert kept.read_text() == "kept"


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("listed", ["figures", "", ".", "..", "null\0.txt"])
def test_a_manifest_that_lists_no_file_is_refused_or_passed_over(tmp_path: Path, listed: str) -> None:
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "mine.svg").write_text("mine")
    (out / "manifest.json").write_text(json.dumps({"digest": "0" * 64, "files": [listed]}))
    with contextlib.suppress(Reached):
        refused(invoke(*run("--fresh"), "--out", str(out)), "out")
    assert (out / "figures" / "mine.svg").read_text() == "mine"


def test_a_defect_is_not_hidden_as_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(runner, "enter", broken)
    with pytest.raises(ValueError, match="a defect"):
        invoke(*tiny(tmp_path / "out"))
