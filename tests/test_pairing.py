"""The paired error of a difference: by hand from the blocks that runs leave, and its coverage."""

from pathlib import Path

import numpy as np
import pytest

from montecarlo import estimate
from studies import results, tasks
from tests.compared_runs import WALKED, compared, copied, others, ran, said
from tests.statistics import refused, within
from tests.test_npz import made_up, packed


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("walked") / "base", **WALKED)


@pytest.fixture(scope="module")
def walked_dearer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("walked") / "dearer", **WALKED | {"drafter": "fraction:0.4"})


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
    (tmp_path / "second.npz").write_bytes(packed(**made_up(tuple(range(21, 29)))))
    second = ran(tmp_path / "second", trace=tmp_path / "second.npz", **traced | {"drafter": "fraction:0.4"})
    found = compared(folders[0], second)
    assert "not the texts" in said(found)
    alone[1] = results.read(second)["results"].filter(draft_length=2)["speedup_trace_se"].item()
    of_two = found["lengths"].filter(draft_length=2)["speedup_difference_trace_se"].item()
    assert of_two == pytest.approx(np.hypot(*alone), rel=1e-9)


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
