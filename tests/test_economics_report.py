"""The page of `economics`: whole, the same bytes, every claim on it, and words that are those of the frames."""

import re
from pathlib import Path

import polars as pl
import pytest

from reports import economics_findings as findings
from reports import page
from reports.share import Share, shares
from studies import config, results, scenario
from studies import economics as study
from studies.results import Results
from tests.pages import HOSTILE, html, read, runs_only_the_explorer
from tests.test_cli import contents, invoke, sets

FEW = {"batch": "[1, 2, 4, 8, 16, 64]", "context_tokens": "[4096, 131072]"}
OWN = FEW | {"target": "olmoe-1b-7b"}
CASES: dict[str, dict[str, str]] = {
    "the post": {},
    "own target": {"target": "qwen3-30b-a3b", "hardware": "h100-sxm"},
    "dense": FEW | {"target": "llama-3-70b"},
    "one term": OWN | {"terms": '["experts"]'},
    "nothing fits": FEW | {"target": "deepseek-v3"},
    "one batch": OWN | {"batch": "5"},
    "one context": OWN | {"context_tokens": "8192"},
    "by depth": OWN | {"acceptance": "[0.8, 0.6, 0.3]"},
    "no drafts": OWN | {"draft_length": "0"},
    "drafts only": OWN | {"draft_length": "[1, 2]"},
}


def studied(**keys: str) -> Results:
    resolved = scenario.fill(
        "economics", config.resolve("economics", None, [f"{key}={value}" for key, value in keys.items()], {})
    )
    return study.conclude(resolved, 0, {}, {"seed": 0})


def parts(found: Results) -> list[Share]:
    return shares(found, listed="results", priced="best")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """The results of a study, and their folder with its report."""
    found, folder = studied(**CASES[request.param]), tmp_path_factory.mktemp("case") / "out"
    results.write(folder, found)
    page.render(folder)
    return found, folder


def shown(folder: Path) -> str:
    """The visible words of a page, with plain spaces."""
    return " ".join(read(folder).text.split())


def test_the_page_is_whole_and_fetches_nothing(case: tuple[Results, Path]) -> None:
    found, folder = case
    reader = read(folder)
    assert runs_only_the_explorer(found, reader)
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert [at[:40] for at in reader.addresses if not at.startswith(("data:image/svg+xml,", "#"))] == []
    assert {at[1:] for at in reader.addresses if at.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert "@import" not in html(folder)
    assert re.findall(r"url\((?!['\"]?(?:data:|#|%23))", html(folder)) == []
    assert re.search(r"\b(nan|inf|None|NaN)\b", reader.text) is None


def test_the_same_results_are_drawn_as_the_same_bytes(case: tuple[Results, Path]) -> None:
    _, folder = case
    before = contents(folder)
    names = page.render(folder)
    assert contents(folder) == before
    assert sorted(names) == sorted(name for name in before if not name.endswith((".parquet", ".json")))


def test_every_figure_is_on_the_page_in_both_forms(case: tuple[Results, Path]) -> None:
    _, folder = case
    svg, png = ({path.stem for path in folder.glob(f"figures/*.{form}")} for form in ("svg", "png"))
    assert svg == png
    assert "ablation" in svg
    pictures = [at for at in read(folder).addresses if not at.startswith("#")]
    assert len(pictures) == len(svg)


def test_every_claim_note_and_answer_is_on_the_page(case: tuple[Results, Path]) -> None:
    found, folder = case
    text = shown(folder)
    frame = found["claims"]
    for row in frame.iter_rows(named=True):
        assert " ".join(row["statement"].split()) in text
        assert " ".join(row["reason"].split()) in text
    assert text.count("✓ holds") == frame["holds"].sum()
    assert text.count("✗ does not hold") == frame.height - frame["holds"].sum()
    assert f"{frame['holds'].sum()} of {frame.height} hold" in text
    for section, rows in frame.group_by("section", maintain_order=True):
        name = str(section[0])
        title = f"{name[0].upper()}{name[1:]}: {rows['holds'].sum()} of {rows.height} hold"
        assert title in text
    for held in found.notes.values():
        for note in held:
            assert " ".join(note.split()) in text
    for share in parts(found):
        verdict = findings.verdict(share)
        assert " ".join(verdict[1:].split()) in text


def test_what_does_not_hold_is_said_in_words_after_ones_own_figures(case: tuple[Results, Path]) -> None:
    found, folder = case
    charts, _, after = shown(folder).partition("What the figures show")
    assert "What does not hold" not in charts
    broken = after.partition("What does not hold")[2]
    for row in found["claims"].filter(~pl.col("holds")).iter_rows(named=True):
        assert " ".join(row["statement"].split()) in broken
        assert " ".join(row["reason"].split()) in broken


@pytest.fixture(scope="module")
def small() -> Results:
    return studied(target="deepseek-v4-flash", batch="[4, 16]", context_tokens="4096")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_words_and_nothing_else(small: Results, tmp_path: Path, name: str) -> None:
    labels = {"scenario": pl.lit(name), "drafter": pl.lit(name), "acceptance": pl.lit(name), "kind": pl.lit(name)}
    frames = {
        kept: frame.with_columns(**{column: text for column, text in labels.items() if column in frame.columns})
        for kept, frame in small.frames.items()
    }
    frames["claims"] = frames["claims"].with_columns(statement=pl.lit(name), reason=pl.lit(name), section=pl.lit(name))
    frames["ablation"] = frames["ablation"].with_columns(name=pl.lit(name), change=pl.lit(name))
    folder = tmp_path / "inside"
    results.write(folder, Results("economics", frames, {name: [name]}, {"seed": name, name: {name: name}}))
    names = page.render(folder)
    reader = read(folder)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert all(at.startswith(("data:image/svg+xml,", "#")) for at in reader.addresses)
    assert name in reader.text
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}
    for written in names:
        assert re.fullmatch(r"(figures/[a-z0-9-]{1,90}\.(svg|png)|report\.html)", written)


def test_a_run_prints_the_answer_and_writes_the_page(tmp_path: Path) -> None:
    done = invoke("run", "economics", *sets(batch="[1, 4]", context_tokens="4096"), "--out", str(tmp_path / "out"))
    assert (done.code, done.err) == (0, "")
    assert "best draft length and its speedup" in done.out
    assert (tmp_path / "out" / "report.html").is_file()
