"""compare: differences of runs, their paired errors, and what stands in for them where nothing can be paired."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo import estimate
from studies import results, runs, tasks
from studies.results import Results
from tests.compared_runs import EXACT, SMALL, WALKED, compared, copied, ran, said
from tests.statistics import refused, within
from tests.test_npz import made_up, packed

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


@pytest.fixture(scope="module")
def walked_dearer(place: Path) -> Path:
    return ran(place / "walked-dearer", **WALKED | {"drafter": "fraction:0.4"})


def others(found: Results) -> pl.DataFrame:
    return found["results"].filter(~pl.col("baseline"))


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


def blocks(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each world at batch 1 without drafts [worlds] and with [worlds, lengths], as walks leave them."""
    names = sorted(folder.glob("blocks/*.npz"), key=lambda path: int(path.stem.rpartition("worlds")[2]))
    parts = [dict(np.load(name)) for name in names]
    undrafted, drafted = (np.concatenate([part[key] for part in parts]) for key in ("undrafted", "drafted"))
    return undrafted.sum(axis=1)[:, 0], drafted.sum(axis=1)[:, 0]  # of all groups, at the one context


def by_hand(first: Path, second: Path) -> tuple[float, float, float, float]:
    """Difference of the speedups at length 2, its paired and independent errors, and P(second better)."""
    shifts, speedups, worlds = [], [], []
    for folder in (first, second):
        undrafted, drafted = blocks(folder)
        spent = drafted[:, 1]
        speedup = undrafted.mean() / spent.mean()
        shifts.append(speedup * (undrafted / undrafted.mean() - spent / spent.mean()))
        speedups.append(speedup)
        worlds.append(undrafted / spent)
    paired, alone = np.std(shifts[1] - shifts[0], ddof=1), np.hypot(*(np.std(shift, ddof=1) for shift in shifts))
    root = np.sqrt(len(shifts[0]))
    return speedups[1] - speedups[0], paired / root, alone / root, float(np.mean(worlds[1] > worlds[0]))


def test_the_paired_error_is_the_one_that_the_blocks_give_by_hand(walked: Path, walked_dearer: Path) -> None:
    difference, paired, alone, better = by_hand(walked, walked_dearer)
    row = compared(walked, walked_dearer)["lengths"].filter(draft_length=2).row(0, named=True)
    assert row["speedup_difference"] == pytest.approx(difference, rel=1e-12)
    assert row["speedup_difference_se"] == pytest.approx(paired, rel=1e-9)
    assert row["p_better"] == better
    assert paired < 0.7 * alone


def test_shuffled_worlds_lose_what_pairing_gains(walked: Path, walked_dearer: Path, tmp_path: Path) -> None:
    shuffled = copied(walked_dearer, tmp_path / "shuffled")
    names = [shuffled / "blocks" / f"scenario0-worlds{first}.npz" for first in (0, 4, 8)]
    held = [name.read_bytes() for name in names]
    for name, content in zip(names, (held[1], held[2], held[0]), strict=True):
        name.write_bytes(content)
    _, paired, alone, _ = by_hand(walked, walked_dearer)
    row = compared(walked, shuffled)["lengths"].filter(draft_length=2).row(0, named=True)
    assert row["speedup_difference_se"] > 0.8 * alone > paired


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


def test_worlds_that_only_one_run_drew_stand_alone(walked: Path, tmp_path: Path) -> None:
    fewer = ran(tmp_path / "fewer", **WALKED | {"worlds": "8", "drafter": "fraction:0.4"})
    found = compared(walked, fewer)
    assert others(found)["common_worlds"].to_list() == [8]
    assert "paired over 8 worlds that both drew of 12 and 8" in said(found)
    shifts = []
    for folder in (walked, fewer):
        undrafted, drafted = blocks(folder)
        spent = drafted[:, 1]
        shift = undrafted.mean() / spent.mean() * (undrafted / undrafted.mean() - spent / spent.mean())
        shifts.append(shift / np.sqrt(len(shift) * (len(shift) - 1)))
    every = shifts[0].copy()
    every[:8] -= shifts[1]
    row = found["lengths"].filter(draft_length=2).row(0, named=True)
    assert row["speedup_difference_se"] == pytest.approx(np.sqrt(np.sum(every**2)), rel=1e-9)


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


def test_the_error_of_a_trace_is_paired_over_the_same_resamples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tasks, "REPLICATES", 8)
    (tmp_path / "trace.npz").write_bytes(packed(**made_up(tuple(range(20, 28)))))
    traced = WALKED | {"routing": "trace", "worlds": "4"}
    folders = [
        ran(tmp_path / name, trace=tmp_path / "trace.npz", **traced | {"drafter": f"fraction:{name}"})
        for name in ("0.1", "0.4")
    ]
    speedups, shifts = [], []
    for folder in folders:
        parts = [dict(np.load(folder / "blocks" / f"scenario0-bootstrap{first}.npz")) for first in (0, 4)]
        undrafted = np.concatenate([part["undrafted"] for part in parts])[..., 0, 0]  # [replicates, worlds]
        drafted = np.concatenate([part["drafted"] for part in parts])[..., 0, 0, 1]
        means = [seconds.mean(axis=1, keepdims=True) for seconds in (undrafted, drafted)]
        speedups.append((means[0] / means[1])[:, 0])
        shifts.append(means[0] / means[1] * (undrafted / means[0] - drafted / means[1]))
    between = np.var(speedups[1] - speedups[0], ddof=1)
    inner = np.var(shifts[1] - shifts[0], axis=1, ddof=1) / shifts[0].shape[1]
    error = np.sqrt(max(between - inner.mean(), between * np.sqrt(2 / 7)))
    row = compared(*folders)["lengths"].filter(draft_length=2).row(0, named=True)
    assert row["speedup_difference_trace_se"] == pytest.approx(error, rel=1e-9)
    alone = [results.read(folder)["results"].filter(draft_length=2)["speedup_trace_se"].item() for folder in folders]
    assert error < np.hypot(*alone)


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


def covered(runs_of: int, worlds: tuple[int, int], common: int, paired: int) -> tuple[float, float]:
    """Share of simulations whose difference is within 1.96 errors of the truth, errors made as of `paired` common."""
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(runs_of):
        shared = random.standard_normal((3, max(worlds)))
        sides = []
        for side, count in enumerate(worlds):
            own = random.standard_normal((3, count))
            own[:, :common] = shared[:, :common]
            noise = random.standard_normal(count)
            undrafted = np.exp(0.3 * own[0])
            drafted = (0.8, 0.7)[side] * np.exp(0.3 * own[0] + 0.2 * own[1] + 0.05 * noise)
            value = undrafted.mean() / drafted.mean()
            sides.append((value, value * estimate.deviation(undrafted, drafted)))
        truth = (1 / 0.7 - 1 / 0.8) * np.exp(-(0.2**2 + 0.05**2) / 2)
        error = estimate.difference_error(sides[1][1], sides[0][1], paired)
        hits += abs(sides[1][0] - sides[0][0] - truth) < 1.96 * error
    return hits / runs_of, float(np.sqrt(0.95 * 0.05 / runs_of))


@pytest.mark.parametrize(("worlds", "common"), [((48, 48), 48), ((48, 96), 48), ((64, 64), 0)])
def test_errors_cover_the_difference(worlds: tuple[int, int], common: int) -> None:
    share, error = covered(2000, worlds, common, common)
    within(share, 0.95, error, largest=0.01, what="coverage")


def test_independent_errors_of_paired_worlds_are_far_too_wide() -> None:
    share, error = covered(2000, (48, 48), 48, 0)
    refused(within, share, 0.95, error, largest=0.01)


def test_names_of_runs_are_short_and_tell_them_apart(base: Path, dearer: Path, tmp_path: Path) -> None:
    several = ran(tmp_path / "several", **SMALL | {"drafter": "free", "acceptance": "0.6", "tail": "text"})
    for folders, names in (
        ((base, dearer), ["fraction:0.10", "fraction:0.4"]),
        ((base, several), ["base", "several"]),
        ((base, copied(base, tmp_path / "base")), [str(base), str(tmp_path / "base")]),
    ):
        given = runs.read(folders)
        assert runs.names(given, runs.shared(given)) == names
