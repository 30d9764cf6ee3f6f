"""Reports: a page and figures that say what the frames say, whatever the names, and fetch nothing."""

import re
from pathlib import Path

import polars as pl
import pytest

from reports import page
from studies import results, surfaces, tasks
from studies.results import Results
from tests.pages import HOSTILE, html, read, runs_only_the_explorer
from tests.test_cli import contents
from tests.test_npz import made_up, packed
from tests.test_results import frames
from tests.test_study import studied

SMALL = {"batch": "[1, 4]", "draft_length": "[0, 1, 2]", "world_requests": "8", "worlds": "4"}
ONE = {"batch": "2", "draft_length": "2", "world_requests": "2", "worlds": "2"}
CASES = {
    "small": SMALL,
    "two contexts": SMALL
    | {"context_tokens": "[1024, 65536]", "acceptance": "[0.8, 0.6]", "draft_length": "[0, 1, 3]"},
    "dense": SMALL | {"target": "llama-3-8b"},
    "one cell": ONE,
    "one world request": ONE | {"batch": "1", "world_requests": "1"},
    "no drafts": SMALL | {"draft_length": "0"},
    "nothing fits": ONE | {"target": "glm-4.5", "hardware": "rtx4090"},
    "some fit": {
        "target": "llama-3-8b",
        "hardware": "rtx4090",
        "batch": "[1, 8, 16]",
        "context_tokens": "[4096, 32768]",
        "worlds": "2",
    },
    "never pays": SMALL | {"drafter": "fraction:3", "acceptance": "0.0"},
    "always pays": SMALL | {"drafter": "free", "acceptance": "1.0"},
    "long drafts": SMALL | {"draft_length": "[0, 1, 31, 64]", "target": "llama-3-8b"},
}


def written(found: Results, folder: Path) -> Path:
    """The results as a folder to report on."""
    results.write(folder, found)
    return folder


@pytest.fixture(scope="module", params=[*CASES, "trace"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """The results of a small study, and their folder with its report."""
    folder = tmp_path_factory.mktemp("case")
    if request.param == "trace":
        trace = folder / "made-up.npz"
        trace.write_bytes(packed(**made_up(tuple(range(10, 22)))))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(surfaces, "WORLD_WINDOWS", 1)
            patch.setattr(tasks, "REPLICATES", 4)
            found = studied(trace, **SMALL)
    else:
        found = studied(**CASES[request.param])
    out = written(found, folder / "out")
    page.render(out)
    return found, out


def test_the_page_is_whole_and_fetches_nothing(case: tuple[Results, Path]) -> None:
    found, folder = case
    reader = read(folder)
    assert reader.tags[0] == "html"
    assert runs_only_the_explorer(found, reader)
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert [at[:40] for at in reader.addresses if not at.startswith(("data:image/svg+xml,", "#"))] == []
    assert len(reader.ids) == len(set(reader.ids))
    assert "@import" not in html(folder)
    assert re.findall(r"url\((?!['\"]?(?:data:|#|%23))", html(folder)) == []
    assert re.search(r"\b(nan|inf|None|NaN)\b", reader.text) is None


def test_the_figures_are_files_that_fetch_nothing(case: tuple[Results, Path]) -> None:
    _, folder = case
    for figure in folder.glob("figures/*"):
        assert figure.stat().st_size > 1000
        if figure.suffix == ".svg":
            drawn = figure.read_text("utf-8")
            assert "<script" not in drawn
            assert re.findall(r'(?:href|src)="(?!#|data:)[^"]*"', drawn) == []
        else:
            assert figure.read_bytes().startswith(b"\x89PNG")


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
    pictures = [at for at in read(folder).addresses if not at.startswith("#")]
    assert len(pictures) == len(svg)


def test_every_cell_every_note_and_the_answer_are_on_the_page(case: tuple[Results, Path]) -> None:
    found, folder = case
    shown = " ".join(read(folder).text.replace("\N{NO-BREAK SPACE}", " ").split())
    for held in found.notes.values():
        for note in held:
            assert " ".join(note.split()) in shown
    for sentence in page.answer(found):
        verdict = sentence.partition(": ")[2]
        assert " ".join(verdict[1:].split()) in shown
    key = ["batch", "context_tokens"]
    closed = found["results"].select(key).unique().height - found["best"].height
    assert shown.count("does not fit in memory") >= closed
    for row in found["best"].iter_rows(named=True):
        assert f"{row['context_tokens']:,} tokens of context" in shown


def words(found: Results) -> str:
    (sentence,) = page.answer(found)
    return sentence


def percent(speedup: float, digits: int = 0) -> str:
    return f"{100 * (speedup - 1):+.{digits}f}".replace("-", "\N{MINUS SIGN}")


@pytest.fixture(scope="module")
def small() -> Results:
    return studied(**SMALL)


def test_the_answer_says_the_length_and_gain_of_the_frames(small: Results) -> None:
    at_four = frames(
        small["results"].filter(batch=4),
        small["best"].filter(batch=4),
        small["changes"].clear(),
        small.notes,
        small.meta,
    )
    length = at_four["best"]["recommended"].item()
    row = at_four["results"].filter(draft_length=length).row(0, named=True)
    digits = 0 if row["speedup_p95"] - row["speedup_p05"] >= 0.02 else 1
    gain, low, high = (percent(row[name], digits) for name in ("speedup", "speedup_p05", "speedup_p95"))
    assert f"draft {length} ahead at batch 4 ({gain} %" in words(at_four)
    assert f"between {low} and {high} %" in words(at_four)
    assert "4,096 tokens of context" in words(at_four)


def changed(found: Results, **columns: object) -> Results:
    """The results with another best length at the batches of the grid."""
    best = found["best"].with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    return frames(found["results"], best.cast(dict(found["best"].schema)), found["changes"], found.notes, found.meta)


def test_the_answer_follows_the_recommended_length(small: Results) -> None:
    one = changed(small, recommended=1)
    gains = small["results"].filter(draft_length=1).sort("speedup")["speedup"].to_list()
    assert f"draft 1 ahead at batch 1 to 4 ({percent(gains[0])} to {percent(gains[1])} %" in words(one)
    none = changed(small, recommended=0)
    assert "do not draft at batch 1 to 4" in words(none)


def test_the_answer_where_there_is_little_to_say() -> None:
    assert "nothing fits in memory" in words(studied(**CASES["nothing fits"]))
    assert "whether drafting pays is not known" in words(studied(**CASES["no drafts"]))
    hopeless = words(studied(**CASES["never pays"]))
    assert "do not draft at batch 1 to 4" in hopeless
    assert "\N{MINUS SIGN}" in hopeless
    some = words(studied(**CASES["some fit"]))
    assert "does not fit in memory" in some


def test_every_scenario_has_its_own_answer_and_figures(small: Results, tmp_path: Path) -> None:
    other = frames(
        *(
            frame.with_columns(scenario=pl.lit("another"))
            for frame in (small["results"], small["best"], small["changes"])
        ),
        {"another": ["A note of its own."]},
        small.meta,
    )
    both = frames(
        *(pl.concat([small[name], other[name]]) for name in ("results", "best", "changes")),
        small.notes | other.notes,
        small.meta,
    )
    assert len(page.answer(both)) == 2
    names = page.render(written(both, tmp_path))
    assert len(names) == len(set(names)) == 2 * len(page.render(written(small, tmp_path / "alone"))) - 1
    assert "A note of its own." in read(tmp_path).text


@pytest.fixture(scope="module")
def renamed(small: Results) -> Results:
    """A single cell, to be given names that no one should."""
    return frames(
        small["results"].filter(batch=4),
        small["best"].filter(batch=4),
        small["changes"].clear(),
        small.notes,
        small.meta,
    )


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_words_and_nothing_else(renamed: Results, tmp_path: Path, name: str) -> None:
    labels = {"scenario": pl.lit(name), "drafter": pl.lit(name), "target": pl.lit(name)}
    hostile = frames(
        renamed["results"].with_columns(**labels),
        renamed["best"].with_columns(**labels),
        renamed["changes"],
        {name: [name]},
        {"seed": name, name: {name: name}},
    )
    folder = written(hostile, tmp_path / "inside")
    (folder / "study.toml").write_text(f"# {name!r}", "utf-8")
    names = page.render(folder)
    reader = read(folder)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
    assert reader.handlers == []
    assert all(at.startswith(("data:image/svg+xml,", "#")) for at in reader.addresses)
    assert name in reader.text
    assert "49" not in re.findall(r"(?s)<h2>(.*?)</h2>", html(folder))[0]  # what {{ 7 * 7 }} would be
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}
    for written_name in names:
        assert re.fullmatch(r"(figures/[a-z0-9-]{1,90}\.(svg|png)|report\.html)", written_name)


def test_names_that_look_alike_get_files_of_their_own(renamed: Results, tmp_path: Path) -> None:
    alike = ["a b", "A-B", "a?b"]
    parts = [renamed["results"].with_columns(scenario=pl.lit(name)) for name in alike]
    bests = [renamed["best"].with_columns(scenario=pl.lit(name)) for name in alike]
    found = frames(pl.concat(parts), pl.concat(bests), renamed["changes"], {}, {})
    names = page.render(written(found, tmp_path))
    assert len(names) == len(set(names))


def test_a_report_does_not_depend_on_the_users_drawing_style(renamed: Results, tmp_path: Path) -> None:
    import matplotlib as mpl

    page.render(written(renamed, tmp_path))
    before = contents(tmp_path)
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "none", "savefig.dpi": 30, "axes.facecolor": "red"}):
        page.render(tmp_path)
    assert contents(tmp_path) == before
