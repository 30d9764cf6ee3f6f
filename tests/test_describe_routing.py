"""What is said of routing, against loops over the tokens, closed forms and published tables."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo.errors import InputError
from tests.described_traces import described, routed
from tests.statistics import all_within, refused, within
from traces.describe import jackknife, load, ranks, sums
from traces.describe.rows import rows
from traces.request import DECODE, PROMPT, UNKNOWN, VERIFY
from traces.store import Trace

LAYERS, EXPERTS, TOP_K = 2, 12, 3


def draws(tokens: int, seed: int, *, layers: int = LAYERS, experts: int = EXPERTS, top_k: int = TOP_K) -> np.ndarray:
    """ids [tokens, layers, top_k] that favour some experts and repeat themselves, so that nothing is uniform."""
    draw = np.random.default_rng(seed)
    keys = draw.gumbel(size=(tokens, layers, experts)) + np.linspace(0, 2, experts)
    ids = np.argsort(-keys, axis=2)[:, :, :top_k].astype(np.int64)
    for token in np.flatnonzero(draw.random(tokens) < 0.4):
        ids[token] = ids[max(token - draw.integers(1, 4), 0)]
    return ids


def texts(lengths: tuple[int, ...] = (40, 1, 7, 90, 33, 2, 64), **shape: int) -> list[np.ndarray]:
    return [draws(length, seed, **shape) for seed, length in enumerate(lengths)]


def windows(ids: np.ndarray, size: int) -> np.ndarray:
    """Whether each window holds each expert [windows, layers, experts], one window at a time."""
    found = np.zeros((max(len(ids) - size + 1, 0), LAYERS, EXPERTS), bool)
    for first in range(len(found)):
        for layer in range(LAYERS):
            found[first, layer, np.unique(ids[first : first + size, layer])] = True
    return found


def in_common(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [len(set(a) & set(b)) / TOP_K for a, b in zip(one, other, strict=True)]


def by_layer(frame: pl.DataFrame, column: str, **where: object) -> list[float]:
    """The column's values by layer and, last, for their mean."""
    held = frame.filter(*(pl.col(name) == value for name, value in where.items()))
    assert held["layer"].to_list() == [*range(len(held) - 1), None]
    return held[column].to_list()


@pytest.mark.parametrize("block", [5, 33, 64, 1 << 16])
def test_overlap_and_windows_are_those_of_a_loop_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(sums, "BLOCK", block)
    requests = texts()
    found = described(routed(tmp_path / "t", requests, EXPERTS))
    for lag in sums.LAGS:
        pairs = [in_common(ids[t], ids[t + lag]) for ids in requests for t in range(len(ids) - lag)]
        expected = np.mean(pairs, axis=0)
        held = by_layer(found["overlap"], "overlap", pair="lag", lag=lag)
        np.testing.assert_allclose(held, [*expected, expected.mean()], rtol=1e-12)
    together = np.concatenate(requests)
    for pair, weights, kinds in (
        ("request", [len(ids) for ids in requests if len(ids) > 1], [ids for ids in requests if len(ids) > 1]),
        ("pooled", [1], [together]),
    ):
        means = [np.mean([in_common(a, b) for a, b in combinations(ids, 2)], axis=0) for ids in kinds]
        expected = np.average(means, axis=0, weights=weights)
        held = by_layer(found["overlap"], "overlap", pair=pair)
        np.testing.assert_allclose(held, [*expected, expected.mean()], rtol=1e-12)
    for size in range(1, 33):
        expected = np.concatenate([windows(ids, size) for ids in requests]).sum(axis=2).mean(axis=0)
        held = by_layer(found["windows"], "distinct", window=size)
        np.testing.assert_allclose(held, [*expected, expected.mean()], rtol=1e-12)


@pytest.mark.parametrize("block", [5, 1 << 16])
def test_batches_are_the_mean_over_every_batch_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """All ways to draw two requests and a window of each, all requests alike."""
    monkeypatch.setattr(sums, "BLOCK", block)
    requests = texts((3, 9, 14, 2))
    found = described(routed(tmp_path / "t", requests, EXPERTS))["batches"]
    for size in (1, 2, 4, 8):
        held = [windows(ids, size) for ids in requests if len(ids) >= size]
        assert found.filter(window=size)["requests"].unique().to_list() == [len(held)]
        alone = np.mean([each.sum(axis=2).mean(axis=0) for each in held], axis=0)
        np.testing.assert_allclose(by_layer(found, "distinct", batch=1, window=size), [*alone, alone.mean()])
        two = np.mean(
            [
                np.mean([(a | b).sum(axis=1) for a, b in product(one, other)], axis=0)
                for one, other in product(held, repeat=2)
            ],
            axis=0,
        )
        np.testing.assert_allclose(by_layer(found, "distinct", batch=2, window=size), [*two, two.mean()])


def test_uniform_popularity_and_random_tokens_beside_them(tmp_path: Path) -> None:
    ids = draws(9, 0)
    found = described(routed(tmp_path / "t", [ids], EXPERTS))
    inclusion = windows(ids, 1).mean(axis=0)
    for size in (1, 2, 3):
        uniform = EXPERTS * (1 - (1 - TOP_K / EXPERTS) ** size)
        np.testing.assert_allclose(by_layer(found["windows"], "uniform", window=size), [uniform] * (LAYERS + 1))
        popular = (1 - (1 - inclusion) ** size).sum(axis=1)
        np.testing.assert_allclose(by_layer(found["windows"], "popularity", window=size)[:-1], popular)
        chosen = [
            np.stack([windows(ids[[t]], 1)[0] for t in some]).any(axis=0) for some in combinations(range(9), size)
        ]
        random = np.mean([each.sum(axis=1) for each in chosen], axis=0)
        np.testing.assert_allclose(by_layer(found["windows"], "random_tokens", window=size)[:-1], random)
    popular = (1 - (1 - inclusion) ** 32).sum(axis=1)
    two = described(routed(tmp_path / "two", [ids] * 4, EXPERTS))["batches"]
    np.testing.assert_allclose(by_layer(two, "popularity", batch=4, window=8)[:-1], popular)
    assert two["batch"].max() == 4
    assert found["batches"]["batch"].max() == 1
    assert found["ranks"]["batch"].max() == 1
    assert found["windows"]["window"].max() == 9
    assert found["batches"].filter(window=8)["requests"].unique().to_list() == [1]
    assert found["windows"]["distinct_trace_se"].null_count() == len(found["windows"])


def test_one_choice_for_ever(tmp_path: Path) -> None:
    """Every token as the first: nothing new after it, all in common, and one rank does all the work."""
    ids = np.tile(np.array([0, 1, 2]), (50, LAYERS, 1))
    ids[0, 0] = [1, 2, 3]  # or the layers would be taken for dense
    ids[:, 1] += 1
    ids[0, 1] = [0, 1, 2]
    found = described(routed(tmp_path / "t", [ids] * 70, EXPERTS))
    assert by_layer(found["overlap"], "overlap", pair="lag", lag=32) == pytest.approx([1 - 1 / 18 / 3] * 3)
    late = found["windows"].filter(pl.col("window") == 32, pl.col("layer").is_null()).row(0, named=True)
    assert 3 <= late["distinct"] < 3.06
    assert late["distinct_trace_se"] == 0
    hot = found["ranks"].filter(pl.col("batch") == 64, pl.col("ranks") == 2).row(0, named=True)
    assert 1.98 < hot["assignments"] <= 2
    assert 1.98 < hot["distinct"] <= 2


def test_stretches_end_where_text_is_missing(tmp_path: Path) -> None:
    """Prompt tokens, tokens without experts, and places where the position jumps part the text."""
    ids = draws(40, 3)
    ids[11, 0, 1] = -1
    phase = np.where(np.arange(40) < 6, PROMPT, DECODE).astype(np.int8)
    position = np.arange(40) + np.where(np.arange(40) >= 25, 100, 0)
    other = draws(12, 4)
    folder = routed(
        tmp_path / "t",
        [ids, other],
        EXPERTS,
        phase=[phase, np.full(12, UNKNOWN, np.int8)],
        position=[position, 0],
    )
    found = described(folder)
    parts = [ids[6:11], ids[12:25], ids[25:], other]
    for size in (1, 2, 8, 13):
        expected = np.concatenate([windows(part, size) for part in parts]).sum(axis=2).mean(axis=0)
        np.testing.assert_allclose(by_layer(found["windows"], "distinct", window=size)[:-1], expected)
    notes = " ".join(found["notes"]["note"])
    assert "45 decode tokens are described." in notes
    assert "6 prompt tokens are left out." in notes
    assert "1 tokens lack experts and are left out." in notes
    assert "do not tell" in notes or "does not tell" in notes
    assert found["batches"].filter(batch=1, window=1)["requests"].unique().to_list() == [2]


@pytest.mark.parametrize(("phase", "name"), [(PROMPT, "prompt"), (VERIFY, "verify")])
def test_without_decode_tokens_others_are_described(tmp_path: Path, phase: int, name: str) -> None:
    ids = draws(20, 1)
    found = described(routed(tmp_path / "t", [ids], EXPERTS, phase=[np.full(20, phase, np.int8)]))
    assert f"There are no decode tokens: {name} tokens are described." in found["notes"]["note"].to_list()
    assert found["load"]["uses"][-1] == 20 * LAYERS * TOP_K


def test_nothing_with_all_its_experts_is_refused(tmp_path: Path) -> None:
    ids = draws(6, 1)
    ids[:, 0, 0] = -1
    with pytest.raises(InputError, match="no token in it has all its experts"):
        described(routed(tmp_path / "t", [ids], EXPERTS))


def test_load_in_closed_form() -> None:
    even = load.statistics(np.full((1, 8), 5))
    assert {name: round(float(value[0]), 12) for name, value in even.items()} == {
        "entropy": 1,
        "exp_entropy": 8,
        "effective_experts": 8,
        "gini": 0,
        "hottest": 1,
        "cv": 0,
        "dead": 0,
    }
    one = load.statistics(np.eye(8, dtype=int)[:1] * 9)
    assert [float(one[name][0]) for name in ("exp_entropy", "effective_experts", "hottest", "dead")] == [1, 1, 8, 7]
    assert float(one["gini"][0]) == pytest.approx(7 / 8)
    uses = np.random.default_rng(0).integers(0, 100, (3, 10))
    share = uses / uses.sum(axis=1, keepdims=True)
    mean_difference = np.abs(share[:, :, None] - share[:, None, :]).mean(axis=(1, 2))
    np.testing.assert_allclose(load.statistics(uses)["gini"], mean_difference * 10 / 2)
    np.testing.assert_allclose(load.statistics(uses)["cv"], share.std(axis=1) / share.mean(axis=1))


def test_a_layer_that_never_counted_is_null_and_not_in_the_mean() -> None:
    frame = load.load(np.array([[1, 1], [0, 0]]), [3, 7])
    assert frame["layer"].to_list() == [3, 7, None]
    assert frame["gini"].to_list() == [0, None, 0]


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """With a group per request: s / sqrt(n), exactly; of groups: the same to the precision groups have."""
    draw = np.random.default_rng(1).normal(size=50)
    group = jackknife.grouped(50)
    held = {name: jackknife.by_group(values, group, 50) for name, values in (("x", draw), ("n", np.ones(50)))}
    value, error = jackknife.with_error(held, lambda of: of["x"] / of["n"])
    assert value == pytest.approx(draw.mean())
    assert error == pytest.approx(draw.std(ddof=1) / np.sqrt(50))
    many = np.random.default_rng(2).normal(size=20_000)
    group = jackknife.grouped(len(many))
    assert np.ptp(np.bincount(group)) <= 1
    held = {name: jackknife.by_group(values, group, 64) for name, values in (("x", many), ("n", np.ones(len(many))))}
    error = jackknife.with_error(held, lambda of: of["x"] / of["n"])[1]
    within(float(error), many.std() / np.sqrt(len(many)), float(error) / np.sqrt(2 * 63), largest=0.001)


def test_standard_errors_are_of_requests_not_of_tokens(tmp_path: Path) -> None:
    """Requests that each repeat one choice: as many draws as requests, however long they are."""
    draw = np.random.default_rng(0)
    errors = []
    for length in (2, 40):
        requests = []
        for _ in range(200):
            near = draw.random() < 0.5
            ids = np.stack([np.argsort(draw.random((length, EXPERTS)), axis=1)[:, :TOP_K]] * LAYERS, axis=1)
            requests.append(np.repeat(ids[:1], length, axis=0) if near else ids)
        found = described(routed(tmp_path / f"t{length}", requests, EXPERTS))["overlap"]
        errors.append(found.filter(pair="lag", lag=1, layer=0)["overlap_trace_se"][0])
    assert 0.5 < errors[1] / errors[0] < 1.5


def test_ranks_by_every_step_there_is(tmp_path: Path) -> None:
    """All single tokens, all requests alike; and batches of 4 from a draw of its own."""
    requests = texts((5, 30, 12, 9))
    folder = routed(tmp_path / "t", requests, EXPERTS)
    found = described(folder)["ranks"]
    assert found["ranks"].unique().sort().to_list() == [2, 4]
    for ways in (2, 4):
        held = [_hottest(windows(ids, 1), ways).mean() for ids in requests]
        row = found.filter(ranks=ways, batch=1, window=1).row(0, named=True)
        within(row["assignments"], float(np.mean(held)), row["assignments_se"], largest=0.01)
        assert row["assignments"] == row["distinct"]
        refused(within, row["assignments"] * 1.1, float(np.mean(held)), row["assignments_se"], largest=0.01)
    draw, deep, wide = np.random.default_rng(7), [], []
    for _ in range(20_000):
        union, count = np.zeros((LAYERS, EXPERTS), bool), np.zeros((LAYERS, EXPERTS))
        for ids in (requests[place] for place in draw.integers(4, size=4)):
            first = draw.integers(len(ids) - 1)
            seen = windows(ids[first : first + 2], 1)
            union |= seen.any(axis=0)
            count += seen.sum(axis=0)
        deep.append(_hottest(count, 4).mean())
        wide.append(_hottest(union, 4).mean())
    row = found.filter(ranks=4, batch=4, window=2).row(0, named=True)
    for drawn, column in ((deep, "assignments"), (wide, "distinct")):
        error = np.hypot(row[f"{column}_se"], np.std(drawn) / np.sqrt(len(drawn)))
        within(row[column], float(np.mean(drawn)), float(error), largest=0.01)


def _hottest(of: np.ndarray, ways: int) -> np.ndarray:
    parts = np.stack([part.sum(axis=-1) for part in np.split(of, ways, axis=-1)])
    return np.asarray(parts.max(axis=0) / parts.mean(axis=0))


def test_ranks_without_end_and_their_degrees() -> None:
    assert ranks.degrees(256) == [2, 4, 8, 16, 32, 64]
    assert ranks.degrees(60) == [2, 4]
    assert ranks.degrees(5) == []
    found = ranks.limit(np.array([[4, 0, 2, 2], [1, 1, 1, 1]]))
    assert found["assignments"].to_list() == [1, 1.5]
    assert found["batch"].null_count() == 2


def test_windows_are_drawn_from_every_stretch_alike(tmp_path: Path) -> None:
    """The rows of drawn windows: neighbours of one stretch, all windows of a request equally often."""
    position = np.arange(30) + np.where(np.arange(30) >= 12, 5, 0)
    folder = routed(tmp_path / "t", [draws(30, 0), draws(3, 1)], EXPERTS, position=[position, 0])
    drawn = ranks._Windows(rows(Trace.open(folder)), 4).draw(np.random.default_rng(0), 50_000)
    assert set(np.diff(drawn, axis=1).ravel()) == {1}
    first, count = np.unique(drawn[:, 0], return_counts=True)
    assert first.tolist() == [*range(9), *range(12, 27)]
    all_within(count, 50_000 / 24, np.full(24, np.sqrt(50_000 / 24)), largest=50)
