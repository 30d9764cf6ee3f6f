"""The explorer's file and its place on the page: where there is one, its names, its size, its bytes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from montecarlo.errors import InputError
from reports import page
from studies import config, economics, results, scenario
from studies.results import Results
from tests.pages import HOSTILE, html, read, runs_only_the_explorer
from tests.test_cli import contents, invoke, sets
from tests.test_study import studied


def written(found: Results, folder: Path) -> str:
    results.write(folder, found)
    page.render(folder)
    return html(folder)


@pytest.mark.parametrize(
    "keys", [{"target": "glm-4.5", "hardware": "rtx4090"}, {"draft_length": "0"}], ids=["nothing fits", "no drafts"]
)
def test_where_nothing_can_move_there_is_no_explorer(tmp_path: Path, keys: dict[str, str]) -> None:
    found = studied(**{"batch": "2", "draft_length": "2", "world_requests": "2", "worlds": "2"} | keys)
    assert found.explorer is None
    assert 'id="explorer"' not in written(found, tmp_path)
    assert not (tmp_path / "explorer.json").exists()
    given = [f"{key}={value}" for key, value in keys.items()]
    resolved = scenario.fill("economics", config.resolve("economics", None, given, {}))
    assert economics.conclude(resolved, 0, {}, {}).explorer is None


@pytest.fixture(scope="module")
def small() -> Results:
    return studied(batch="[1, 4]", draft_length="[0, 1, 2]", world_requests="8", worlds="3")


def test_a_folder_of_an_older_version_still_has_its_page(small: Results, tmp_path: Path) -> None:
    assert 'id="explorer"' in written(small, tmp_path)
    (tmp_path / "explorer.json").unlink()
    page.render(tmp_path)
    assert 'id="explorer"' not in html(tmp_path)
    assert read(tmp_path).scripts == []


@pytest.mark.parametrize("text", ["", "[]", '{"scenarios": 3}', '{"scenarios": [', "\xff"], ids=range(5))
def test_a_damaged_file_is_refused_in_one_line(small: Results, tmp_path: Path, text: str) -> None:
    results.write(tmp_path, small)
    (tmp_path / "explorer.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="damaged result files") as told:
        results.read(tmp_path)
    assert "\n" not in str(told.value)


BREAKERS = [*HOSTILE, "<!-- <script>", "</script>", "]]>", "a\u2028b\u2029c", "</ScRiPt ><b>"]


@pytest.mark.parametrize("name", BREAKERS, ids=range(len(BREAKERS)))
def test_names_are_words_and_nothing_else(small: Results, tmp_path: Path, name: str) -> None:
    held = json.loads(json.dumps(small.explorer))
    for named in (held["scenarios"][0], *(held["scenarios"][0][key] for key in ("tokens", "drafting", "experts"))):
        named["name"] = name
    hostile = replace(small, explorer=held)
    text = written(hostile, tmp_path)
    reader = read(tmp_path)
    assert runs_only_the_explorer(hostile, reader)
    assert not set("<>&\u2028\u2029") & set(reader.scripts[0][1])
    assert reader.handlers == []
    assert text.count("<script") == text.count("</script") == 2
    assert results.read(tmp_path).explorer == held


def test_the_page_s_words_never_become_markup() -> None:
    code = "".join(
        path.read_text("utf-8") for path in sorted(Path(page.__file__).parent.glob("templates/explorer*.js"))
    )
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "http:", "https:"):
        assert way not in code.replace("http://www.w3.org/2000/svg", "")


def test_a_run_writes_it_lists_it_and_writes_the_same_bytes(tmp_path: Path) -> None:
    keys = sets(target="olmoe-1b-7b", batch="[1, 4]", draft_length="[0, 1]", world_requests="8", worlds="2")
    for name in ("one", "two"):
        assert invoke("run", "optimal-k", *keys, "--out", str(tmp_path / name), "--quiet").code == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    listed = json.loads((tmp_path / "one" / "manifest.json").read_text("utf-8"))["files"]
    assert "explorer.json" in listed
    (tmp_path / "one" / "explorer.json").unlink()
    again = invoke("run", "optimal-k", *keys, "--out", str(tmp_path / "one"), "--quiet")
    assert again.code == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_default_reports_are_small(tmp_path: Path) -> None:
    resolved = scenario.fill("economics", config.resolve("economics", None, [], {}))
    found = economics.conclude(resolved, 0, {}, {"seed": 0})
    assert len(written(found, tmp_path).encode()) < 1.5e6
    assert (tmp_path / "explorer.json").stat().st_size < 1e5
    assert len(found.explorer["scenarios"]) == 2  # type: ignore[index]
