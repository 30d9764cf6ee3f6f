"""What compare prints and puts on its page, what it refuses, and what it leaves in its folder."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from reports import compare_findings, page
from studies import compare_columns, results
from studies.results import Results
from tests.compared_runs import EXACT, SMALL, compared, copied, ran
from tests.pages import HOSTILE, html, read
from tests.test_cli import Outcome, contents, invoke, words

FILES = {"compare.toml", "manifest.json", "report.html", *(f"{name}.parquet" for name in compare_columns.FILES)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    ran(folder / "base", **SMALL)
    ran(folder / "dearer", **SMALL | {"drafter": "fraction:0.4"})
    ran(folder / "exact", "economics", **EXACT)
    ran(folder / "frontier", "frontier", **EXACT | {"batch": "4"})
    assert comparison(folder, "--quiet") == Outcome(0, "", "")
    return folder


def comparison(place: Path, *more: str, second: str = "dearer", out: str = "out") -> Outcome:
    return invoke("compare", str(place / "base"), str(place / second), "--out", str(place / out), *more)


def test_the_folder_holds_what_its_manifest_says(place: Path) -> None:
    left = set(contents(place / "out"))
    figures = {name for name in left if name.startswith("figures/")}
    assert left - figures == FILES
    assert {name.rpartition("-")[2] for name in figures} == {
        f"{n}.{s}" for n in ("speedups", "differences") for s in ("svg", "png")
    }
    assert sorted(json.loads((place / "out" / "manifest.json").read_text())["files"]) == sorted(left)


def test_the_same_bytes_again_and_from_report(place: Path) -> None:
    before = contents(place / "out")
    assert comparison(place, "--quiet").code == 0
    assert contents(place / "out") == before
    assert invoke("report", str(place / "out")).code == 0
    assert contents(place / "out") == before


def test_the_terminal_says_who_is_better_and_where_the_files_are(place: Path) -> None:
    found = comparison(place)
    assert (found.code, found.err) == (0, "")
    assert "drafter fraction:0.4 against fraction:0.10" in words(found.out)
    assert f"Report: {place / 'out' / 'report.html'}" in found.out
    assert f"Results: {place / 'out' / 'results.parquet'}, lengths.parquet" in found.out
    rows = results.read(place / "out")["results"].filter(~pl.col("baseline"))
    for row in rows.iter_rows(named=True):
        shift = f"{100 * row['speedup_difference']:+.1f}".replace("-", "\N{MINUS SIGN}").replace("+0.0", "0")
        error = f"{200 * row['speedup_difference_se']:.1f}"
        assert f" {shift} ± {error} {100 * row['p_better']:.0f} %" in words(found.out)
    lines = [line for line in found.out.splitlines() if not line.startswith(("Results: ", "Report: "))]
    assert max(map(len, lines)) <= 80


def test_json_is_one_document_and_quiet_is_silent(place: Path) -> None:
    found = comparison(place, "--json")
    document = json.loads(found.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["folder"] == str(place / "out")
    assert [row["run"] for row in document["results"]] == ["fraction:0.10"] * 2 + ["fraction:0.4"] * 2
    assert document["differs"][0]["key"] == "drafter"
    assert comparison(place, "--quiet") == Outcome(0, "", "")


def test_another_comparison_is_not_overwritten_without_fresh(place: Path) -> None:
    assert comparison(place, "--quiet", out="kept").code == 0
    first = contents(place / "kept")
    copied(place / "base", place / "again")
    found = comparison(place, second="again", out="kept")
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    assert "--fresh" in found.err
    assert contents(place / "kept") == first
    assert comparison(place, "--quiet", "--fresh", second="again", out="kept").code == 0
    assert "the same run" in json.dumps(results.read(place / "kept").notes)


REFUSED = {
    "one folder": (["base"], "two results folders"),
    "twice": (["base", "dearer", "./base"], "given twice"),
    "no folder": (["base", "nowhere"], "is not a results folder"),
    "no results": (["base", "empty"], "is not a results folder"),
    "damaged": (["base", "damaged"], "holds damaged result files"),
    "no study.toml": (["base", "bare"], "study.toml"),
    "other study": (["base", "exact"], "of different studies"),
    "comparison": (["base", "out"], "a run of compare"),
    "validate": (["base", "validate"], "a run of validate"),
    "no scenario": (["two", "base"], "no scenario is in all of"),
    "edited study.toml": (["edited", "base"], "no batch and context"),
    "no cell": (["base", "other-batch"], "no batch and context"),
    "both": (["base", "dearer", "--json", "--quiet"], "exclude each other"),
    "out is a run": (["base", "dearer", "--out", "@base"], "is in the way of"),
    "out in a run": (["base", "dearer", "--out", "@dearer/here"], "is in the way of"),
    "out over runs": (["base", "dearer", "--out", "@", "--fresh"], "is in the way of"),
    "out elsewhere": (["base", "dearer", "--out", "@empty"], "holds other files"),
}


@pytest.fixture(scope="module")
def wrong(place: Path) -> Path:
    (place / "empty").mkdir()
    (place / "empty" / "mine.txt").write_text("mine")
    damaged, bare = copied(place / "base", place / "damaged"), copied(place / "base", place / "bare")
    (damaged / "results.parquet").write_bytes(b"PAR1 no more")
    (bare / "study.toml").unlink()
    validate = Results("validate", {n: pl.DataFrame(schema=s) for n, s in results.FILES["validate"].items()}, {}, {})
    results.write(place / "validate", validate)
    ran(place / "other-batch", **SMALL | {"batch": "2"})
    edited = copied(place / "base", place / "edited")
    (edited / "study.toml").write_text((edited / "study.toml").read_text().replace('name = "', 'name = "x'))
    two = copied(place / "base", place / "two")
    text = (two / "study.toml").read_text()
    (two / "study.toml").write_text(
        text.replace('name = "', 'name = "x') + text[text.index("[[scenario]]") :].replace('name = "', 'name = "y')
    )
    return place


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused_in_one_line(wrong: Path, case: str) -> None:
    before = contents(wrong)
    folders, said = REFUSED[case]
    argv = [
        str(wrong / word[1:]) if word[0] == "@" else word if word[0] == "-" else f"{wrong}/{word}" for word in folders
    ]
    out = [] if "--out" in argv else ["--out", str(wrong / "fresh")]
    found = invoke("compare", *argv, *out)
    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1)
    assert said in found.err
    assert contents(wrong) == before


@pytest.mark.parametrize(
    "folders", [("base", "dearer"), ("exact", "other"), ("frontier", "dear")], ids=lambda pair: pair[0]
)
def test_the_page_is_whole_and_says_what_the_terminal_says(
    place: Path, tmp_path: Path, folders: tuple[str, str]
) -> None:
    second = place / folders[1]
    if folders[0] != "base":
        batch = {"batch": "4"} if folders[0] == "frontier" else {}
        study = "frontier" if folders[0] == "frontier" else "economics"
        second = ran(tmp_path / folders[1], study, **EXACT | batch | {"acceptance": "0.5"})
    found = compared(place / folders[0], second)
    results.write(tmp_path / "page", found)
    page.render(tmp_path / "page")
    reader = read(tmp_path / "page")
    shown = " ".join(reader.text.replace("\N{NO-BREAK SPACE}", " ").split())
    for sentence in page.answer(found):
        verdict = sentence.partition(": ")[2]
        assert " ".join(verdict[1:].split()) in shown
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(reader.tags)
    assert all(at.startswith(("data:image/svg+xml,", "#")) for at in reader.addresses)
    assert len(reader.ids) == len(set(reader.ids))
    assert re.search(r"\b(nan|inf|None|NaN)\b", reader.text) is None
    for words_ in {"exact": ["Batches at which no drafting pays"], "frontier": ["The highest throughput"]}.get(
        folders[0], []
    ):
        assert words_ in shown
    before = contents(tmp_path / "page")
    page.render(tmp_path / "page")
    assert contents(tmp_path / "page") == before


def renamed(folder: Path, out: Path, name: str) -> Path:
    """The same run, its scenario and drafter called `name`."""
    copied(folder, out)
    held = results.read(out)
    words_ = {"scenario": pl.lit(name), "drafter": pl.lit(name)}
    frames = {
        key: frame.with_columns(**{n: w for n, w in words_.items() if n in frame.columns})
        for key, frame in held.frames.items()
    }
    results.write(out, Results(held.study, frames, {name: [name]}, held.meta))
    text = (out / "study.toml").read_text("utf-8")
    text = re.sub(r'(?m)^name = ".*"$', lambda _: f"name = {json.dumps(name, ensure_ascii=False)}", text)
    (out / "study.toml").write_text(
        re.sub(r'(?m)^drafter = ".*"$', lambda _: f"drafter = {json.dumps(name, ensure_ascii=False)}", text), "utf-8"
    )
    return out


@pytest.mark.parametrize(
    "name", [*HOSTILE, "\x1b[31mred\x1b]0;title\x07", "[/bold] [red]"], ids=range(len(HOSTILE) + 2)
)
def test_names_are_words_and_nothing_else(place: Path, tmp_path: Path, name: str) -> None:
    second = renamed(place / "dearer", tmp_path / "second", name)
    out = tmp_path / "inside"
    found = invoke(
        "compare", str(renamed(place / "base", tmp_path / "first", name + "!")), str(second), "--out", str(out)
    )
    assert (found.code, found.err) == (0, "")
    assert not {letter for letter in found.out if not letter.isprintable()} - {"\n"}
    reader = read(out)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert all(at.startswith(("data:image/svg+xml,", "#")) for at in reader.addresses)
    assert name.split("\n", maxsplit=1)[0][:60] in reader.text
    assert "49" not in re.findall(r"(?s)<h2>(.*?)</h2>", html(out))[0]
    assert {path.name for path in tmp_path.iterdir()} == {"inside", "first", "second"}


def row(batch: int, difference: float, error: float, recommended: int = 2) -> dict[str, object]:
    return {
        "scenario": "s", "run": "b", "baseline": False, "batch": batch, "context_tokens": 4096,
        "recommended": recommended, "best_draft_length": recommended, "speedup": 1.2 + difference,
        "speedup_difference": difference, "speedup_difference_se": error, "common_worlds": 8,
    }  # fmt: skip


def test_the_verdict_tells_higher_lower_and_undecided_apart() -> None:
    rows = [row(1, 0.05, 0.01), row(2, -0.03, 0.01, 1), row(4, 0.01, 0.01), row(8, -0.015, 0.01)]
    base = [
        one | {"run": "a", "baseline": True, "recommended": 2, "speedup": 1.2, "speedup_difference": None}
        for one in rows
    ]
    frames = {
        name: pl.DataFrame(
            [{column: one.get(column) for column in schema} for one in ([*base, *rows] if name == "results" else [])],
            schema=schema,
        )
        for name, schema in compare_columns.FILES.items()
    }
    found = Results("compare", frames, {}, {"study": "optimal-k", "runs": ["a", "b"], "folders": ["x", "y"]})
    (one,) = compare_findings.split(found)
    said = compare_findings.verdict(one, "b")
    assert "it drafts 1 ahead instead of 2 at batch 2" in said
    assert "higher by 5.0 points at batch 1 (+25 % against +20 % ± 2.0)" in said
    assert "lower by 3.0 points at batch 2" in said
    assert "within two standard errors of each other at batch 4 to 8" in said
