"""What is said of gpt-oss-20b, EAGLE-1, Medusa and Hydra, against figures computed independently from the same data."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo.text import Text
from tests.described_traces import described, routed, stepped
from tests.statistics import matches
from tests.test_describe_acceptance import whole
from traces.describe import sums
from traces.importers import acceptance

SPEC_BENCH = "specbench-vicuna7b-eagle1.jsonl"
WINDOW_TABLE = {1: 4.00, 2: 6.24, 4: 9.31, 8: 12.88, 16: 16.385, 32: 19.44}
RANDOM_TABLE = {1: 4.00, 2: 7.23, 4: 12.09, 8: 17.84, 16: 22.99, 32: 26.56}
POPULARITY_TABLE = {1: 4.00, 2: 7.24, 4: 12.07, 8: 17.85, 16: 23.00, 32: 26.55}
BATCH_TABLE = {
    1: (4.00, 6.27, 9.39, 13.01),
    4: (12.1, 16.4, 20.5, 23.7),
    16: (23.1, 26.0, 28.1, 29.4),
    64: (29.0, 30.2, 30.9, 31.3),
}
LAG_TABLE = {1: 0.438, 2: 0.383, 4: 0.364, 8: 0.347, 32: 0.328}


@pytest.fixture(scope="module")
def gpt_oss(gpt_oss_20b: Text, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    requests = np.split(gpt_oss_20b.experts, gpt_oss_20b.start[1:-1])
    return described(routed(tmp_path_factory.mktemp("gpt") / "t", requests, 32))


def test_the_published_tables_of_gpt_oss_20b(gpt_oss: dict[str, pl.DataFrame]) -> None:
    """Windows are token-weighted, batches request-weighted; all within .5 %."""
    mean = {name: gpt_oss[name].filter(pl.col("layer").is_null()) for name in ("windows", "batches", "overlap")}
    for column, table in (
        ("distinct", WINDOW_TABLE),
        ("random_tokens", RANDOM_TABLE),
        ("popularity", POPULARITY_TABLE),
    ):
        for size, published in table.items():
            matches(
                mean["windows"].filter(window=size)[column][0], published, 0, relative=0.005, what=f"{column} {size}"
            )
    for batch, line in BATCH_TABLE.items():
        for size, published in zip((1, 2, 4, 8), line, strict=True):
            held = mean["batches"].filter(batch=batch, window=size)["distinct"][0]
            matches(held, published, 0, relative=0.005, what=f"{batch} x {size}")
    for lag, published in LAG_TABLE.items():
        matches(
            mean["overlap"].filter(pair="lag", lag=lag)["overlap"][0], published, 0, relative=0.005, what=f"lag {lag}"
        )
    same = mean["overlap"].filter(pair="request")["overlap"][0]
    matches(same, 0.313, 0, relative=0.005, what="same request")
    errors = [mean["windows"].filter(window=size)["distinct_trace_se"][0] for size in (2, 4, 8)]
    np.testing.assert_allclose(errors, (0.007, 0.02, 0.03), rtol=0.25)


def test_the_published_layer_statistics_of_gpt_oss_20b(gpt_oss: dict[str, pl.DataFrame], data: Path) -> None:
    """Load is exact. Overlaps were sampled there: their mean over layers is held, a layer to their own scatter.

    The scatter: overlap at lag 1 is (2 top_k - union of 2) / top_k, whatever the trace.
    """
    with (data / "routing" / "gpt-oss-20b_layer_stats.csv").open() as file:
        published = list(csv.DictReader(file))
    names = {
        "entropy": "entropy_norm",
        "exp_entropy": "exp_entropy",
        "effective_experts": "inv_simpson",
        "gini": "gini",
        "hottest": "max_over_mean",
        "cv": "cv",
    }
    layers = gpt_oss["load"].filter(pl.col("layer").is_not_null())
    for row, line in zip(layers.iter_rows(named=True), published, strict=True):
        for ours, theirs in names.items():
            matches(row[ours], float(line[theirs]), 0, relative=0.005, what=f"layer {row['layer']} {ours}")
        assert row["dead"] == float(line["dead"])
    near, two = (np.array([float(line[name]) for line in published]) for name in ("overlap_lag1", "union_2"))
    scatter = np.abs((8 - two) / 4 / near - 1).max()
    assert scatter < 0.015
    columns = {("lag", lag): f"overlap_lag{lag}" for lag in sums.LAGS}
    columns |= {("request", None): "overlap_rand_same_seq", ("pooled", None): "overlap_rand_global"}
    for (pair, lag), column in columns.items():
        rows = gpt_oss["overlap"].filter(
            pl.col("pair") == pair, pl.col("lag").eq_missing(lag), pl.col("layer").is_not_null()
        )
        theirs = np.array([float(line[column]) for line in published])
        matches(float(rows["overlap"].mean()), theirs.mean(), 0, relative=0.005, what=column)  # type: ignore[arg-type]
        assert np.abs(rows["overlap"].to_numpy() / theirs - 1).max() <= scatter
    for size in (2, 4, 8, 16):
        ours = gpt_oss["windows"].filter(pl.col("window") == size, pl.col("layer").is_not_null())["distinct"].to_numpy()
        for layer, line in enumerate(published):
            matches(ours[layer], float(line[f"union_{size}"]), 0, relative=0.005, what=f"layer {layer} union {size}")


def test_the_published_hottest_ranks_of_gpt_oss_20b(gpt_oss: dict[str, pl.DataFrame]) -> None:
    tables = {
        (4, 1): (1.90, 1.46, 1.27, 1.19),
        (8, 1): (2.82, 2.04, 1.65, 1.50),
        (8, 4): (2.36, 1.77, 1.55, 1.46),
    }
    for (ways, size), line in tables.items():
        for batch, published in zip((1, 4, 16, 64), line, strict=True):
            row = gpt_oss["ranks"].filter(ranks=ways, batch=batch, window=size).row(0, named=True)
            matches(
                row["assignments"], published, row["assignments_se"], relative=0.01, what=f"EP{ways} {batch} x {size}"
            )
    row = gpt_oss["ranks"].filter(ranks=8, batch=64, window=1).row(0, named=True)
    matches(row["distinct"], 1.10, row["distinct_se"], relative=0.01)


@pytest.fixture
def published(data: Path, tmp_path: Path) -> Callable[..., dict[str, pl.DataFrame]]:
    def read(name: str, tree: list[int] | None) -> dict[str, pl.DataFrame]:
        log = acceptance.read([data / "acceptance" / name], tree=tree)
        return described(stepped(tmp_path / name, log))

    return read


@pytest.mark.parametrize(
    ("name", "tree", "hazards", "icc", "near"),
    [
        (SPEC_BENCH, [4, 8, 8, 3, 2], (0.897, 0.803, 0.727, 0.518, 0.627), (0.135, 0.151), 0.10),
        ("mtbench-vicuna7b-medusa.jsonl", [10, 28, 23, 2], (0.834, 0.582, 0.367, 0.116), None, 0.085),
        ("queryrank-vicuna7b-hydra.jsonl", None, None, None, 0.20),
    ],
)
def test_published_acceptance(
    published: Callable[..., dict[str, pl.DataFrame]],
    name: str,
    tree: list[int] | None,
    hazards: tuple[float, ...] | None,
    icc: tuple[float, float] | None,
    near: float,
) -> None:
    """Hazards within .003, intra-class correlation and autocorrelation within .01."""
    found = published(name, tree)
    if hazards:
        assert np.abs(found["runs"].filter(by="all")["hazard"].to_numpy() - hazards).max() <= 0.003
    for unit, value in zip(("request", "turn"), icc or (), strict=False):
        assert abs(whole(found["spread"], statistic="icc", unit=unit)["estimate"] - value) <= 0.01
    assert abs(whole(found["spread"], statistic="autocorrelation", lag=1)["estimate"] - near) <= 0.01


def test_published_weightings_of_eagle_1(published: Callable[..., dict[str, pl.DataFrame]]) -> None:
    found = published(SPEC_BENCH, [4, 8, 8, 3, 2])
    row = whole(found["tokens_per_step"])
    names = ("tokens_per_step", "request_weighted", "token_weighted", "request_p05", "request_p50", "request_p95")
    for column, value in zip(names, (3.58, 3.34, 3.68, 2.41, 3.33, 4.33), strict=True):
        matches(row[column], value, 0, relative=0.005, what=column)
    for column, value in zip(("turn_p05", "turn_p50", "turn_p95"), (2.44, 3.39, 4.48), strict=True):
        matches(row[column], value, 0, relative=0.006, what=column)
    by_kind = dict(found["tokens_per_step"].filter(by="category").select("value", "tokens_per_step").iter_rows())
    for kind, value in {"coding": 4.51, "math": 4.14, "qa": 3.11, "translation": 2.84}.items():
        matches(by_kind[kind], value, 0, relative=0.005, what=kind)
    assert round(whole(found["spread"], statistic="variance_32")["estimate"]) == 7
    assert 1.9 < whole(found["spread"], statistic="overdispersion", unit="request")["estimate"] < 12
