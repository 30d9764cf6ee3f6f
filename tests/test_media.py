"""`draftodds report`: the same bytes, without jax; figures for a paper or slides; the page printed by a browser."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reports import media, page, printing, style
from studies import results
from tests.test_cli import contents, invoke

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a small study in closed form, without a report."""
    out = tmp_path_factory.mktemp("media") / "run"
    done = invoke(
        "run", "frontier", "--quiet", "--set", "target=olmoe-1b-7b", "--set", "hardware=rtx4090", "--out", str(out)
    )
    assert done.code == 0, done.err
    return out


def test_report_loads_no_jax(folder: Path) -> None:
    code = f"import sys; sys.argv = ['draftodds', 'report', {str(folder)!r}]\n"
    code += "from studies.__main__ import main\ntry: main()\n"
    code += "except SystemExit as end: assert not end.code\nassert not {'jax', 'jaxlib'} & set(sys.modules), 'jax'"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", style.MEDIA)
def test_a_medium_has_its_own_figures_and_touches_no_other(folder: Path, name: str) -> None:
    before = contents(folder)
    done = invoke("report", str(folder), "--style", name)
    assert done.code == 0, done.err
    after = contents(folder)
    mine = {path for path in after if path.startswith(f"figures/{name}/")}
    pictures = page.of(results.read(folder)).pictures
    wanted = {f"figures/{name}/{one.name}.{kind}" for one in pictures for kind in ("svg", "png", "pdf")}
    assert mine == wanted | {f"figures/{name}/captions.md"}
    assert {path: after[path] for path in before if path not in mine and path != "manifest.json"} == {
        path: before[path] for path in before if path not in mine and path != "manifest.json"
    }
    assert mine <= set(json.loads((folder / "manifest.json").read_text())["files"])
    captions = (folder / "figures" / name / "captions.md").read_text()
    assert all(f"`{one.name}`: **{one.title}.**" in captions and one.sentence in captions for one in pictures)
    media.write(folder, name)
    assert contents(folder) == after


def test_slides_are_wide_and_papers_have_no_heading(folder: Path) -> None:
    read = results.read(folder)
    shapes = {}
    for name, medium in {"page": style.PAGE, **style.MEDIA}.items():
        with style.drawn_for(medium):
            shapes[name] = [one.figure for one in page.of(read).pictures]
    for plain, paper, slide in zip(shapes["page"], shapes["paper"], shapes["slides"], strict=True):
        assert slide.get_figwidth() / slide.get_figheight() >= 16 / 9 - 1e-9
        assert paper.get_figheight() < plain.get_figheight()
        assert len([text for text in paper.texts if text.get_text()]) < len(plain.texts)


def test_an_unknown_style_is_refused_in_one_line(folder: Path) -> None:
    done = invoke("report", str(folder), "--style", "poster")
    assert done.code == 2
    assert done.err == "draftodds: --style 'poster' is none of paper, slides\n"


def test_without_a_browser_the_figures_are_there_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "browser", lambda: None)
    done = invoke("report", str(folder), "--pdf")
    assert done.code == 2
    assert "Chromium" in done.err
    assert len(done.err.splitlines()) == 1
    drawn = sorted(folder.glob("figures/*.pdf"))
    assert [path.stem for path in drawn] == sorted(one.name for one in page.of(results.read(folder)).pictures)
    first = [path.read_bytes() for path in drawn]
    assert all(content.startswith(b"%PDF") for content in first)
    media.vectors(folder)
    assert [path.read_bytes() for path in drawn] == first


@pytest.mark.parametrize("body", ["printf '%%PDF-1.4' > \"$path\"", "echo 'no display' >&2"])
def test_the_page_is_printed_by_the_browser_that_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A stand-in for the browser that prints, and one that fails."""
    program = tmp_path / "chromium"
    find = 'for given in "$@"; do case "$given" in --print-to-pdf=*) path="${given#--print-to-pdf=}";; esac; done'
    program.write_text(f"#!/bin/sh\n{find}\n{body}\n")
    program.chmod(0o755)
    (folder / "report.pdf").unlink(missing_ok=True)
    monkeypatch.setattr(printing, "browser", lambda: str(program))
    done = invoke("report", str(folder), "--pdf")
    if "PDF" in body:
        assert done.code == 0, done.err
        assert (folder / "report.pdf").read_bytes() == b"%PDF-1.4"
    else:
        assert done.code == 2
        assert "no display" in done.err
        assert not (folder / "report.pdf").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
