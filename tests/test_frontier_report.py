"""The page of `frontier`: whole, the same bytes, and words that are those of the frames."""

import re
from pathlib import Path

import polars as pl
import pytest

from reports import frontier, page
from reports import frontier_findings as findings
from reports.share import Share, shares
from studies import config, results, scenario
from studies import frontier as study
from studies.results import Results
from tests.pages import HOSTILE, html, read
from tests.test_cli import contents, invoke, sets

PRICED = {"dollars_per_device_hour": "4", "seconds_per_token": "0.02"}
OWN = {"target": "olmoe-1b-7b", "hardware": "rtx4090", "context_tokens": "4096"}
CASES: dict[str, dict[str, str]] = {
    "default": {},
    "priced": PRICED,
    "own target": {"target": "qwen3-30b-a3b", "hardware": "h100-sxm"},
    "nothing fits": {"target": "deepseek-v3"},
    "one batch": OWN | {"batch": "4"},
    "one context": OWN,
    "too fast to be met": OWN | {"seconds_per_token": "1e-9"},
    "no drafts": OWN | {"draft_length": "0"},
    "never pays": OWN | {"acceptance": "0.0"},
    "money alone": OWN | {"dollars_per_device_hour": "2.5"},
}


def studied(**keys: str) -> Results:
    resolved = scenario.fill(
        "frontier", config.resolve("frontier", None, [f"{key}={value}" for key, value in keys.items()], {})
    )
    return study.conclude(resolved, 0, {}, {"seed": 0})


def parts(found: Results) -> list[Share]:
    return shares(found, listed="operating", priced="results")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """The results of a study, and their folder with its report."""
    found, folder = studied(**CASES[request.param]), tmp_path_factory.mktemp("case") / "out"
    results.write(folder, found)
    page.render(folder)
    return found, folder


@pytest.fixture(scope="module")
def default() -> Results:
    return studied()


@pytest.fixture(scope="module")
def priced() -> Results:
    return studied(**PRICED)


def shown(folder: Path) -> str:
    """The visible words of a page, with plain spaces."""
    return " ".join(read(folder).text.split())


def test_the_page_is_whole_and_fetches_and_runs_nothing(case: tuple[Results, Path]) -> None:
    _, folder = case
    reader = read(folder)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(reader.tags)
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
    assert sorted(names) == sorted(name for name in before if not name.endswith(".parquet"))


def test_figures_answers_and_notes_are_on_the_page(case: tuple[Results, Path]) -> None:
    found, folder = case
    svg, png = ({path.stem for path in folder.glob(f"figures/*.{form}")} for form in ("svg", "png"))
    assert svg == png
    assert len([at for at in read(folder).addresses if not at.startswith("#")]) == len(svg)
    assert bool(svg) == (found["results"].height > 0)
    text = shown(folder)
    for held in found.notes.values():
        for note in held:
            assert " ".join(note.split()) in text
    for share in parts(found):
        assert " ".join(findings.verdict(share)[1:].split()) in text


def test_every_operating_point_is_in_the_table(case: tuple[Results, Path]) -> None:
    found, folder = case
    text = shown(folder)
    for row in found["operating"].drop_nulls("batch").iter_rows(named=True):
        cells = [row["batch"], row["draft_length"], row["tokens_per_second_user"], row["tokens_per_second_device"]]
        assert "".join(f"{cell:,.0f}" for cell in cells) in text


def test_the_answer_is_that_of_the_frames(default: Results) -> None:
    for share in parts(default):
        here = share["results"].filter(context_tokens=4096)
        for allowed, words in ((here, "is {}"), (here.filter(draft_length=0), "without drafting {}")):
            top = allowed.sort("tokens_per_second_device").row(-1, named=True)
            reached = f"{top['tokens_per_second_device']:,.0f} tokens/s at batch {top['batch']:,}"
            assert words.format(reached) in findings.verdict(share)


def test_the_trade_is_that_of_the_frames(default: Results) -> None:
    for share in parts(default):
        for context in share.contexts:
            rows = share["trades"].filter(context_tokens=context).sort("batch")
            runs = findings.comparisons(share, context)
            assert [batch for first, last, _ in runs for batch in (first, last)] == sorted(
                batch for first, last, _ in runs for batch in (first, last)
            )
            for row in rows.iter_rows(named=True):
                (state,) = [state for first, last, state in runs if first <= row["batch"] <= last]
                if row["doubling_gain"] is None:
                    assert state == findings.CLOSED
                else:
                    assert (state == findings.DOUBLING) == (row["doubling_gain"] > row["drafting_gain"])


def test_the_trade_follows_the_gains(default: Results) -> None:
    share = parts(default)[0]

    def with_gains(drafting: pl.Expr, doubling: pl.Expr) -> str:
        trades = share["trades"].with_columns(drafting_gain=drafting, doubling_gain=doubling)
        held = share.frames | {"trades": trades}
        return findings.trade(Share(share.name, share.slug, held, share.priced, []), 4096)

    one = pl.lit(1.0)
    batch = pl.col("batch")
    last = share["trades"].filter(context_tokens=4096)["batch"].max()
    assert with_gains(one * 1.2, one * 1.5) == f"Doubling the batch gains more at batch 1 to {last}"
    assert with_gains(one * 1.5, one * 1.2) == f"Drafting gains more at batch 1 to {last}"
    until_32 = pl.when(batch <= 32).then(1.9).otherwise(1.1)
    assert (
        with_gains(one * 1.5, until_32)
        == f"Doubling the batch gains more at batch 1 to 32; drafting gains more at batch 45 to {last}"
    )
    assert with_gains(one * 1.5, pl.lit(None, pl.Float64)).startswith("From batch 1 on twice the batch does not fit")


def test_the_objective_and_the_price_are_said(priced: Results) -> None:
    for share in parts(priced):
        verdict = findings.verdict(share)
        assert "With at most 20 ms per token of a user" in verdict
        for row in share["operating"].filter(context_tokens=4096).iter_rows(named=True):
            assert row["tokens_per_second_user"] >= 50 or row["seconds_per_token"] is None
            money = 4 / 3600 / row["tokens_per_second_device"] * 1e6
            assert f"{findings.dollars(money)} per million" in verdict


def test_what_no_batch_meets_is_said() -> None:
    (share,) = parts(studied(**CASES["too fast to be met"]))
    assert "no batch is that fast, with or without drafting" in findings.verdict(share)
    _, rows = frontier.operating(share)
    assert [row[3] for row in rows] == [rows[0][3], rows[1][3], "none", "none"]


def test_the_answer_where_there_is_little_to_say() -> None:
    (shut,) = parts(studied(**CASES["nothing fits"]))
    assert findings.verdict(shut) == "nothing fits in memory, at any batch or context studied."
    (idle,) = parts(studied(**CASES["never pays"]))
    assert "without drafting." in findings.verdict(idle)
    assert findings.frontier_title(idle) == "Drafting adds nothing to the highest throughput"
    (single,) = parts(studied(**CASES["one batch"]))
    assert findings.frontier_sentence(single).startswith("The frontier is a single point")


def test_amounts_of_money() -> None:
    assert [findings.dollars(amount) for amount in (1234.5, 1.0, 0.0367, 0.5)] == [
        "$1,234.50",
        "$1.00",
        "$0.0367",
        "$0.5",
    ]


def test_the_terminal_says_what_the_page_says(priced: Results) -> None:
    said = page.brief(priced)
    assert len(said.sentences) == len(said.tables) == 2
    for share, sentence, (title, headings, rows) in zip(parts(priced), said.sentences, said.tables, strict=True):
        assert sentence == f"{share.subject}: {findings.verdict(share)}"
        assert share.name in title
        assert headings[-1] == "per million tokens"
        assert all(len(row) == len(headings) for row in rows)
        assert len(rows) == share["operating"].height


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_words_and_nothing_else(tmp_path: Path, name: str) -> None:
    found = studied(**CASES["one batch"])
    frames = {
        kept: frame.with_columns(
            **{column: pl.lit(name) for column in ("scenario", "drafter", "target") if column in frame.columns}
        )
        for kept, frame in found.frames.items()
    }
    folder = tmp_path / "inside"
    results.write(folder, Results("frontier", frames, {name: [name]}, {"seed": name, name: {name: name}}))
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
    done = invoke("run", "frontier", *sets(**OWN), "--out", str(tmp_path / "out"))
    assert (done.code, done.err) == (0, "")
    assert "the highest throughput" in done.out
    assert (tmp_path / "out" / "report.html").is_file()
