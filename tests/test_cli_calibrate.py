"""`draftodds calibrate` and `draftodds run validate` from the command line: files left, answers, mistakes."""

from pathlib import Path

import polars as pl
import pytest

from montecarlo.terms import NAMES
from studies import prices
from tests.measured_rows import engine, write
from tests.synthetic_engine import HARDWARE, PRIORS, TARGET
from tests.test_bench import SPECULATION
from tests.test_bench import write as bench
from tests.test_cli import contents, invoke, sets, words

OF = sets(target=TARGET, hardware=HARDWARE)


def test_calibrate_writes_a_prices_file_that_load_takes(tmp_path: Path) -> None:
    runs = [str(bench(tmp_path, f"c{row}.json", row)) for row in (0, 3, 5, 7)]
    out = tmp_path / "deep" / "mine.toml"
    found = invoke("calibrate", *runs, *OF, "--out", str(out))
    assert (found.code, found.err) == (0, "")
    assert f"--set prices={out}" in words(found.out).replace("\n", "")
    text = out.read_text("utf-8")
    assert "c0.json, step seconds: measured" in text
    read = prices.read(out)
    assert read.joint is not None
    assert "made-up/model" in read.joint.source
    assert set(read.joint.terms) < set(NAMES)
    assert "pass_seconds" not in read.joint.terms
    median = prices.load(str(out), HARDWARE, "mxfp4").median()
    for name in read.joint.terms:  # the engine is at the medians, so there they stay
        assert getattr(median, name) == pytest.approx(getattr(PRIORS.median(), name), rel=0.02), name


def test_a_run_with_drafts_informs_what_drafts_cost(tmp_path: Path) -> None:
    drafted = bench(tmp_path, "k.json", 2, **SPECULATION, median_itl_ms=9.0, mean_itl_ms=9.5, mean_tpot_ms=3.96)
    out = tmp_path / "mine.toml"
    found = invoke("calibrate", str(bench(tmp_path, "c.json", 2)), str(drafted), *OF, "--out", str(out))
    assert found.code == 0, found.err
    joint = prices.read(out).joint
    assert joint is not None
    assert {"pass_seconds", "drafted_step_seconds"} & set(joint.terms)


def test_calibrate_overwrites_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run, out = str(bench(tmp_path)), tmp_path / "mine.toml"
    failed = str(bench(tmp_path, "failed.json", failed=1))
    out.write_text("mine", "utf-8")
    before = contents(tmp_path)
    mistakes = {
        "exists and is not overwritten": [run, *OF, "--out", str(out)],
        "must end in .toml": [run, *OF, "--out", str(tmp_path / "mine.txt")],
        "calibrate needs --set hardware=...": [run, *sets(target=TARGET), "--out", str(tmp_path / "a.toml")],
        "calibrate has no use for batch": [run, *OF, *sets(batch="3"), "--out", str(tmp_path / "a.toml")],
        "prices = ideal has no terms": [run, *OF, *sets(prices="ideal"), "--out", str(tmp_path / "a.toml")],
        "devices is 0": [run, *OF, *sets(devices="0"), "--out", str(tmp_path / "a.toml")],
        "unknown target 'gpt'": [run, *sets(target="gpt", hardware=HARDWARE), "--out", str(tmp_path / "a.toml")],
        "hold 80 GB": [run, *sets(target="deepseek-v3", hardware=HARDWARE), "--out", str(tmp_path / "a.toml")],
        "no profile of measured overlap": [run, *OF, *sets(routing="gpt-oss-20b"), "--out", str(tmp_path / "a.toml")],
        "failed requests": [failed, *OF, "--out", str(tmp_path / "a.toml")],
    }
    for said, argv in mistakes.items():
        found = invoke("calibrate", *argv)
        assert (found.code, said in found.err) == (2, True), found.err
        assert found.err.count("\n") == 1
    assert contents(tmp_path).keys() == before.keys()
    assert out.read_text("utf-8") == "mine"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("validate")
    path = write(place / "mine.csv", engine(PRIORS.draw(4, 2), 0.05, 2))
    found = invoke("run", "validate", *sets(measured=str(path)), "--worlds", "40", "--out", str(place / "out"))
    assert (found.code, found.err) == (0, "")
    assert "step-time ratios are" in words(found.out)
    assert "Drafting as predicted loses at most" in words(found.out)
    return place / "out"


def test_a_validation_leaves_its_tables_figures_and_page(folder: Path) -> None:
    left = contents(folder)
    assert {f"{name}.parquet" for name in ("results", "scores", "choices", "terms")} < left.keys()
    assert len([name for name in left if name.endswith(".svg")]) == 2
    page = (folder / "report.html").read_text("utf-8")
    for said in ("Do the prices land on measurements?", "90 % interval", "What following the predicted length loses"):
        assert said in page.replace("\N{NO-BREAK SPACE}", " ")
    results = pl.read_parquet(folder / "results.parquet")
    assert results.null_count().sum_horizontal()[0] == 0
    assert set(pl.read_parquet(folder / "terms.parquet")["term"]) == set(NAMES)


def test_the_same_rows_and_seed_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = ["run", "validate", "--config", str(folder / "study.toml"), "--quiet"]
    assert invoke(*again, "--out", str(tmp_path / "out")).code == 0
    first, second = contents(folder), contents(tmp_path / "out")
    assert first == second
    assert invoke(*again, "--seed", "5", "--out", str(tmp_path / "other")).code == 0
    one, other = (pl.read_parquet(place / "results.parquet") for place in (folder, tmp_path / "other"))
    assert one["predicted_p05"].to_list() != other["predicted_p05"].to_list()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (sets(target="gpt-oss-20b"), "validate takes target from the measured rows"),
        (sets(batch="3"), "validate takes batch from the measured rows"),
        (["--error", "1"], "leave out --trace and --error"),
        (sets(prices="ideal"), "validate calibrates prices achieved"),
        (sets(measured="nothing"), "unknown measured 'nothing'"),
        (sets(measured="none.csv"), "none.csv cannot be read"),
    ],
)
def test_what_validate_cannot_use_is_refused(tmp_path: Path, argv: list[str], said: str) -> None:
    found = invoke("run", "validate", *argv, "--out", str(tmp_path / "out"))
    assert (found.code, said in found.err) == (2, True), found.err
    assert not (tmp_path / "out").exists()


def test_measured_is_a_key_of_validate_alone(tmp_path: Path) -> None:
    found = invoke("run", "frontier", *sets(measured="x.csv"), "--out", str(tmp_path / "out"))
    assert (found.code, "measured is a key of the study validate" in found.err) == (2, True)
