"""The result files: their columns, the same bytes for the same results, and no half-written file, ever."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from montecarlo.errors import InputError
from studies import results
from studies.columns import BEST, CHANGES, GRID
from studies.results import Results
from tests.test_cli import contents, invoke, tiny

SCENARIO_COLUMNS = "target hardware devices tp ep drafter prices routing acceptance tail batch context_tokens"
GRID_COLUMNS = f"""study {SCENARIO_COLUMNS} draft_length worlds fits tokens_per_step step_seconds
speedup speedup_se speedup_trace_se speedup_p05 speedup_p50 speedup_p95 speedup_batch_p05 speedup_batch_p95 p_loss
p_best distinct_experts distinct_experts_uniform tokens_per_second_user tokens_per_second_device"""
BEST_COLUMNS = "batch context_tokens best_draft_length recommended near_best speedup p_best regret_uniform_iid scenario"
FILES = ("results.parquet", "best.parquet", "changes.parquet")
SAMPLE = {
    pl.String: "word",
    pl.Int64: 3,
    pl.Float64: 1.25,
    pl.Boolean: True,
    pl.List(pl.Int64): [1, 2],
}


def row(schema: dict[str, pl.DataType], **given: object) -> pl.DataFrame:
    return pl.DataFrame([{name: SAMPLE[dtype] for name, dtype in schema.items()} | given], schema=schema)


def frames(
    grid: pl.DataFrame, best: pl.DataFrame, changes: pl.DataFrame, notes: dict[str, list[str]], meta: dict[str, object]
) -> Results:
    return Results("optimal-k", {"results": grid, "best": best, "changes": changes}, notes, meta)


@pytest.fixture
def found() -> Results:
    grid = pl.concat([row(GRID), row(GRID, fits=False, speedup=None, step_seconds=None)])
    notes = {"word": ['Ünïcode, and a "quote".', "two\nlines"]}
    meta = {"seed": 1, "versions": {"draftodds": "0"}, "trace_sha256": None}
    return frames(grid, row(BEST), row(CHANGES), notes, meta)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    assert invoke(*tiny(out, "--quiet")).code == 0
    return out


def test_results_read_back_as_written(tmp_path: Path, found: Results) -> None:
    assert results.write(tmp_path, found) == list(FILES)
    again = results.read(tmp_path)
    assert again.study == found.study
    for name in ("results", "best", "changes"):
        assert again[name].equals(found[name], null_equal=True)
        assert again[name].schema == found[name].schema
    assert again.notes == found.notes
    assert again.meta == found.meta


def test_empty_frames_keep_their_columns(tmp_path: Path, found: Results) -> None:
    results.write(tmp_path, frames(found["results"], found["best"].clear(), found["changes"].clear(), {}, {}))
    again = results.read(tmp_path)
    assert again["best"].schema == found["best"].schema
    assert again["best"].is_empty()
    assert again["changes"].is_empty()


def test_the_same_results_are_the_same_bytes(tmp_path: Path, found: Results) -> None:
    for name in ("one", "two"):
        results.write(tmp_path / name, found)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    again = results.read(tmp_path / "one")
    results.write(tmp_path / "three", again)
    assert contents(tmp_path / "three") == contents(tmp_path / "one")


def test_the_columns_are_those_of_the_contract(folder: Path) -> None:
    grid, best = (pl.read_parquet(folder / name) for name in FILES[:2])
    assert [name for name in GRID_COLUMNS.split() if name not in grid.columns] == []
    assert [name for name in BEST_COLUMNS.split() if name not in best.columns] == []
    assert grid.columns == list(GRID)
    assert best.columns == list(BEST)
    assert pl.read_parquet(folder / "changes.parquet").columns == list(CHANGES)


def test_there_is_one_row_per_scenario_batch_context_and_length(folder: Path) -> None:
    grid, best = (pl.read_parquet(folder / name) for name in FILES[:2])
    key = ["scenario", "batch", "context_tokens"]
    assert grid.select(*key, "draft_length").is_unique().all()
    assert best.select(key).is_unique().all()
    assert grid.height == 2 * 3
    assert best.height == 2


def test_the_grid_says_which_case_it_is(folder: Path) -> None:
    grid = pl.read_parquet(folder / "results.parquet")
    said = {
        "study": "optimal-k",
        "target": "olmoe-1b-7b",
        "hardware": "h200-sxm",
        "devices": 1,
        "drafter": "fraction:0.10",
        "prices": "achieved",
        "routing": "gpt-oss-20b",
        "acceptance": "0.75",
        "tail": "request",
        "worlds": 4,
    }
    for name, value in said.items():
        assert grid[name].unique().to_list() == [value]


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, OSError])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("old")

    def write(path: Path) -> None:
        path.write_text("half of the ne")
        raise error

    with pytest.raises(error):
        results.write_atomically(kept, write)
    assert contents(tmp_path) == {"kept.txt": b"old"}
    with pytest.raises(error):
        results.write_atomically(tmp_path / "new.txt", write)
    assert contents(tmp_path) == {"kept.txt": b"old"}


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    kept = tmp_path / "below" / "kept.txt"
    seen = []

    def write(path: Path) -> None:
        assert path.parent == kept.parent
        path.write_text("half")
        seen.append(kept.exists())
        path.write_text("whole")

    results.write_atomically(kept, write)
    assert seen == [False]
    assert contents(tmp_path) == {"below/kept.txt": b"whole"}
    assert kept.stat().st_mode & 0o777 == 0o644


def test_results_are_kept_when_writing_the_next_ones_fails(
    tmp_path: Path, found: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.write(tmp_path, found)
    before = contents(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise Broken

    monkeypatch.setattr(pl.DataFrame, "write_parquet", broken)
    with pytest.raises(Broken):
        results.write(tmp_path, frames(found["results"].clear(), found["best"], found["changes"], {}, {}))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    with pytest.raises(InputError, match=rf"not a results folder \({name} missing\)"):
        results.read(tmp_path / "out")


def damaged(folder: Path, name: str, content: bytes) -> str:
    """What `report` says of a copy of the folder whose file has this content."""
    (folder / name).write_bytes(content)
    found = invoke("report", str(folder))
    assert found.code == 2, found.err
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    return found.err


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "zeros", "footer"])
def test_a_damaged_file_is_refused(folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    shutil.copytree(folder, tmp_path / "out")
    good = (folder / name).read_bytes()
    content = {
        "empty": b"",
        "text": b"batch,speedup\n1,2\n",
        "cut": good[: len(good) // 2],
        "zeros": bytes(len(good)),
        "footer": good[:-12] + b"\xff\xff\xff\x7f" + good[-8:],
    }[damage]
    assert "out" in damaged(tmp_path / "out", name, content)


def parquet(folder: Path, frame: pl.DataFrame, noted: object) -> bytes:
    metadata = {} if noted is None else {"draftodds": noted if isinstance(noted, str) else json.dumps(noted)}
    frame.write_parquet(folder / "made-up.parquet", metadata=metadata)
    return (folder / "made-up.parquet").read_bytes()


@pytest.mark.parametrize(
    "noted",
    [None, "{", "[]", "null", {}, {"notes": {}}, {"meta": {}}],
    ids=str,
)
def test_metadata_of_another_kind_is_refused(folder: Path, tmp_path: Path, noted: object) -> None:
    shutil.copytree(folder, tmp_path / "out")
    grid = pl.read_parquet(folder / "results.parquet")
    damaged(tmp_path / "out", "results.parquet", parquet(tmp_path, grid, noted))


@pytest.mark.parametrize("name", FILES)
def test_columns_of_another_kind_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "out")
    noted = {"meta": {}, "notes": {}}
    frame = pl.read_parquet(folder / name)
    for number, other in enumerate(
        (
            pl.DataFrame({"other": [1]}),
            frame.drop(frame.columns[-1]),
            frame.with_columns(pl.col("context_tokens").cast(pl.String)),
        )
    ):
        copy = tmp_path / f"out{number}"
        shutil.copytree(tmp_path / "out", copy)
        damaged(copy, name, parquet(tmp_path, other, noted))
