"""compare: differences of runs, their paired errors, and what stands in for them where nothing can be paired."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from studies import results, runs
from studies.results import Results
from tests.compared_runs import EXACT, SMALL, WALKED, compared, copied, others, ran, said

AGAINST = ["speedup_difference", "speedup_difference_se", "device_ratio_se", "undrafted_ratio_se"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def base(place: Path) -> Path:
    return ran(place / "base", **SMALL)


@pytest.fixture(scope="module")
def dearer(place: Path) -> Path:
    return ran(place / "dearer", **SMALL | {"drafter": "fraction:0.4"})


@pytest.fixture(scope="module")
def walked(place: Path) -> Path:
    return ran(place / "walked", **WALKED)


@pytest.mark.parametrize("keys", [SMALL, WALKED], ids=["surface", "walk"])
def test_a_run_against_itself_differs_in_nothing_with_no_error(
    request: pytest.FixtureRequest, tmp_path: Path, keys: dict[str, str]
) -> None:
    folder = request.getfixturevalue("base" if keys is SMALL else "walked")
    found = compared(folder, ran(tmp_path / "again", **keys))
    for frame in (others(found), found["lengths"]):
        assert frame.height
        for column in set(AGAINST) & set(frame.columns):
            assert frame[column].to_list() == [0.0] * frame.height
        assert frame["device_ratio"].to_list() == [1.0] * frame.height
    assert others(found)["undrafted_ratio"].to_list() == [1.0] * others(found).height
    assert found["differs"].is_empty()
    assert "are the same run" in said(found)


def test_a_dearer_drafter_is_never_better(base: Path, dearer: Path) -> None:
    found = compared(base, dearer)
    drafting = found["lengths"].filter(pl.col("draft_length") > 0)
    assert drafting.height == 4
    assert drafting["speedup_difference"].max() < 0  # type: ignore[operator]
    assert drafting["p_better"].to_list() == [0.0] * 4
    assert drafting["device_ratio"].max() < 1  # type: ignore[operator]
    undrafted = found["lengths"].filter(draft_length=0)
    assert undrafted["speedup_difference"].to_list() == undrafted["speedup_difference_se"].to_list() == [0.0, 0.0]
    assert others(found)["undrafted_ratio"].to_list() == pytest.approx([1.0, 1.0], rel=1e-12)
    assert found["differs"].rows() == [
        (found["results"]["scenario"][0], "fraction:0.4", "drafter", "fraction:0.10", "fraction:0.4")
    ]
    reverse = compared(dearer, base)
    again = reverse["lengths"].filter(pl.col("draft_length") > 0)
    assert again["speedup_difference"].to_list() == [-value for value in drafting["speedup_difference"]]
    assert again["p_better"].to_list() == [1.0] * 4


def test_the_rows_are_those_of_the_runs(base: Path, dearer: Path) -> None:
    found = compared(base, dearer)["results"]
    for name, folder in (("fraction:0.10", base), ("fraction:0.4", dearer)):
        run, mine = results.read(folder), found.filter(run=name)
        for row, best in zip(mine.iter_rows(named=True), run["best"].iter_rows(named=True), strict=True):
            grid = run["results"].filter(batch=best["batch"], draft_length=best["recommended"]).row(0, named=True)
            for column in ("batch", "context_tokens", "best_draft_length", "recommended"):
                assert row[column] == best[column]
            for column in ("speedup", "speedup_se", "speedup_p05", "speedup_p95", "p_loss", "tokens_per_second_device"):
                assert row[column] == grid[column]
    assert found.filter("baseline")["speedup_difference"].is_null().all()


def independent(found: Results, *folders: Path) -> None:
    """The errors are those of the runs' own result files, and nothing claims to be paired."""
    frame = found["lengths"]
    assert others(found)["common_worlds"].to_list() == [0] * others(found).height
    assert frame["p_better"].is_null().all()
    grids = [results.read(folder)["results"]["speedup_se"].to_numpy() for folder in folders]
    np.testing.assert_allclose(frame["speedup_difference_se"].to_numpy(), np.hypot(*grids), rtol=1e-9)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"seed": "1"}, "their seeds differ (0 and 1)"),
        ({"world_requests": "9"}, "their world_requests differ (8 and 9)"),
    ],
    ids=["seed", "world_requests"],
)
def test_other_draws_are_not_paired_and_it_is_said(
    base: Path, tmp_path: Path, keys: dict[str, str], words: str
) -> None:
    other = ran(tmp_path / "other", **SMALL | keys)
    found = compared(base, other)
    independent(found, base, other)
    assert f"worlds are not paired, as {words}" in said(found)


def _missing(folder: Path) -> None:
    (folder / "blocks" / "scenario0-worlds0.npz").unlink()


def _torn(folder: Path) -> None:
    block = folder / "blocks" / "scenario0-worlds0.npz"
    block.write_bytes(block.read_bytes()[:300])


def _foreign(folder: Path) -> None:
    block = folder / "blocks" / "scenario0-worlds0.npz"
    held = dict(np.load(block))
    np.savez(block, **held | {"moe_seconds": held["moe_seconds"] * 1.01})


def _narrow(folder: Path) -> None:
    block = folder / "blocks" / "scenario0-worlds0.npz"
    np.savez(block, **{name: values[:, :3] for name, values in np.load(block).items()})


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_missing, "worlds0.npz of {} is missing or damaged"),
        (_torn, "worlds0.npz of {} is missing or damaged"),
        (_foreign, "blocks of {} do not make its results again"),
        (_narrow, "blocks of {} do not make its results again"),
    ],
)
def test_blocks_that_cannot_be_had_leave_independent_errors_and_a_word(
    base: Path, dearer: Path, tmp_path: Path, harm: object, words: str
) -> None:
    copy = copied(dearer, tmp_path / "copy")
    harm(copy)  # type: ignore[operator]
    found = compared(base, copy)
    independent(found, base, copy)
    assert words.format(copy) in said(found)
    assert others(found)["device_ratio_se"].is_null().all()


def test_versions_that_differ_are_said_and_not_paired(base: Path, dearer: Path, tmp_path: Path) -> None:
    copy = copied(dearer, tmp_path / "copy")
    held = results.read(copy)
    versions = held.meta["versions"] | {"jax": "0.0.1"}
    results.write(copy, Results(held.study, held.frames, held.notes, held.meta | {"versions": versions}))
    found = compared(base, copy)
    independent(found, base, copy)
    assert "their versions differ" in said(found)
    assert "were run with different versions" in said(found)


def test_cells_that_one_run_lacks_are_left_out_and_named(base: Path, tmp_path: Path) -> None:
    other = ran(
        tmp_path / "other", **SMALL | {"batch": "[4, 8]", "draft_length": "[0, 2, 3]", "context_tokens": "[4096, 99]"}
    )
    found = compared(base, other)
    assert sorted(found["results"].select("batch", "context_tokens").unique().rows()) == [(4, 4096)]
    assert found["lengths"]["draft_length"].to_list() == [0, 2]
    names = found.meta["runs"]
    assert f"not in {names[0]} (not studied, or not in memory): all at 99 tokens of context; batch 8 at 4,096" in said(
        found
    )
    assert f"not in {names[1]} (not studied, or not in memory): batch 1 at 4,096" in said(found)


@pytest.mark.parametrize("study", ["economics", "frontier"])
def test_closed_forms_differ_exactly_and_have_no_error(tmp_path: Path, study: str) -> None:
    first = ran(tmp_path / "first", study, **EXACT)
    second = ran(tmp_path / "second", study, **EXACT | {"acceptance": "0.5"})
    found = compared(first, second)
    key = ["batch", "context_tokens", "draft_length"]
    both = results.read(first)["results"].join(results.read(second)["results"], on=key, suffix="_second").sort(key)
    assert both.height == found["lengths"].height > 8
    shift = (both["speedup_second"] - both["speedup"]).to_list()
    assert found["lengths"].sort(key)["speedup_difference"].to_list() == shift
    for column in ("speedup_difference_se", "p_better", "device_ratio_se"):
        assert found["lengths"][column].is_null().all()
    assert others(found)["common_worlds"].is_null().all()
    assert found.meta["runs"] == ["acceptance 0.75", "acceptance 0.5"]
    own = {"economics": "gutters", "frontier": "operating"}[study]
    for name, folder in zip(found.meta["runs"], (first, second), strict=True):
        held = results.read(folder)[own]
        held = held.filter(~pl.col("acceptance").str.starts_with("alpha")) if study == "economics" else held
        mine = found[own].filter(run=name)
        shared = [column for column in mine.columns if column in held.columns and column != "scenario"]
        assert mine.select(shared).rows() == held.select(shared).rows()


def test_names_of_runs_are_short_and_tell_them_apart(base: Path, dearer: Path, tmp_path: Path) -> None:
    several = ran(tmp_path / "several", **SMALL | {"drafter": "free", "acceptance": "0.6", "tail": "text"})
    for folders, names in (
        ((base, dearer), ["fraction:0.10", "fraction:0.4"]),
        ((base, several), ["base", "several"]),
        ((base, copied(base, tmp_path / "base")), [str(base), str(tmp_path / "base")]),
    ):
        given = runs.read(folders)
        assert runs.names(given, runs.shared(given)) == names
