"""The study optimal-k: what the columns mean, and the laws they obey."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from montecarlo import exact
from montecarlo.achieved import Achieved
from studies import config, scenario
from studies.results import Results
from tests.statistics import within
from tests.test_study import BASE, simulated, studied


def cells(found: Results) -> Iterator[pl.DataFrame]:
    """The priced rows of each batch and context, by draft length."""
    priced = found["results"].filter(pl.col("speedup").is_not_null()).sort("draft_length")
    for _, rows in priced.group_by(["scenario", "batch", "context_tokens"], maintain_order=True):
        yield rows


CASES = {
    "small": BASE,
    "eagle-3 on gpt-oss-20b": BASE | {"target": "gpt-oss-20b", "worlds": "4"},
    "uniform": BASE | {"routing": "uniform", "worlds": "4"},
    "by depth": BASE | {"acceptance": "[0.9, 0.4]", "draft_length": "[0, 1, 2, 3]", "worlds": "4"},
    "free": BASE | {"drafter": "free", "acceptance": "1.0", "tail": "text", "worlds": "4"},
    "rooflines": BASE | {"prices": "ideal", "worlds": "4"},
    "rooflines, uniform": BASE | {"prices": "ideal", "routing": "uniform", "worlds": "4"},
    "hopeless": BASE | {"drafter": "fraction:3", "acceptance": "0.0", "worlds": "4"},
    "dense": BASE | {"target": "llama-3-8b", "worlds": "4"},
    "some fit": {
        "target": "llama-3-8b",
        "hardware": "rtx4090",
        "batch": "[1, 8, 16]",
        "context_tokens": "[4096, 32768]",
        "worlds": "4",
    },
    "post": {
        "target": "deepseek-v4-flash",
        "hardware": "b200-sxm",
        "prices": "post",
        "batch": "[1, 4]",
        "draft_length": "[0, 2]",
        "worlds": "3",
        "world_requests": "4",
    },
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Results:
    return studied(**CASES[request.param])


def test_speedup_is_tokens_times_seconds_at_0_over_seconds(case: Results) -> None:
    for rows in cells(case):
        assert rows["draft_length"][0] == 0
        expected = rows["tokens_per_step"] * rows["step_seconds"][0] / rows["step_seconds"]
        np.testing.assert_allclose(rows["speedup"], expected, rtol=1e-12)


def test_without_drafts_nothing_is_won_lost_or_uncertain(case: Results) -> None:
    undrafted = case["results"].filter(pl.col("draft_length") == 0, pl.col("speedup").is_not_null())
    assert undrafted.height > 0
    for column, value in (("speedup", 1.0), ("tokens_per_step", 1.0), ("p_loss", 0.0), ("speedup_se", 0.0)):
        assert undrafted[column].unique().to_list() == [value]
    for column in ("speedup_p05", "speedup_p50", "speedup_p95", "speedup_batch_p05", "speedup_batch_p95"):
        assert undrafted[column].unique().to_list() == [1.0]
    assert undrafted["draft_seconds"].unique().to_list() == [0.0]


def test_shares_are_shares_and_some_length_is_the_best(case: Results) -> None:
    for rows in cells(case):
        assert rows["p_best"].sum() == pytest.approx(1, abs=1e-12)
        for column in ("p_best", "p_loss"):
            assert rows[column].is_between(0, 1).all()


def test_percentiles_rise_and_rates_follow_from_seconds(case: Results) -> None:
    for rows in cells(case):
        assert (rows["speedup_p05"] <= rows["speedup_p50"]).all()
        assert (rows["speedup_p50"] <= rows["speedup_p95"]).all()
        assert (rows["speedup_batch_p05"] <= rows["speedup_batch_p95"]).all()
        user = rows["tokens_per_step"] / rows["step_seconds"]
        np.testing.assert_allclose(rows["tokens_per_second_user"], user, rtol=1e-12)
        np.testing.assert_allclose(rows["tokens_per_second_device"], rows["batch"] * user, rtol=1e-12)
        assert (rows["draft_seconds"] < rows["step_seconds"]).all()


def test_the_numbers_are_finite(case: Results) -> None:
    for column, dtype in case["results"].schema.items():
        if dtype == pl.Float64:
            assert case["results"][column].drop_nulls().is_finite().all(), column


def test_the_recommended_length_is_the_shortest_within_one_percent(case: Results) -> None:
    best = {(row["batch"], row["context_tokens"]): row for row in case["best"].iter_rows(named=True)}
    seen = 0
    for rows in cells(case):
        row = best[rows["batch"][0], rows["context_tokens"][0]]
        top = rows["speedup"].max()
        assert row["best_draft_length"] == rows.filter(pl.col("speedup") == top)["draft_length"].min()
        near = rows.filter(pl.col("speedup") >= 0.99 * top)
        assert row["recommended"] == near["draft_length"].min()
        assert row["best_draft_length"] in row["near_best"]
        assert row["near_best"] == sorted(set(row["near_best"]))
        assert set(row["near_best"]) <= set(rows["draft_length"])
        assert row["p_best"] == rows.filter(draft_length=row["best_draft_length"])["p_best"].item()
        assert row["drafting_speedup"] == rows.filter(pl.col("draft_length") > 0)["speedup"].max()
        seen += 1
    assert seen == len(best)


def test_the_best_is_worth_what_the_grid_says_within_its_noise(case: Results) -> None:
    for row in case["best"].iter_rows(named=True):
        here = case["results"].filter(batch=row["batch"], context_tokens=row["context_tokens"])
        at = here.filter(draft_length=row["best_draft_length"]).row(0, named=True)
        drawn = row["prices"] == "achieved"  # few worlds then differ much: of any length that half of them may choose
        noise = 4 * float(here["speedup_se"].max()) if drawn else 0.0
        assert row["speedup"] == pytest.approx(at["speedup"], rel=0.02 + noise)
        assert row["regret_uniform_iid"] >= -0.01 - noise  # chosen on one half of few worlds, valued on the other
        assert row["regret_uniform_iid"] < 1


def test_changes_are_where_drafting_starts_or_stops_paying(case: Results) -> None:
    found = []
    for (context,), rows in case["best"].sort("batch").group_by("context_tokens", maintain_order=True):
        pays = list(zip(rows["batch"], rows["drafting_speedup"] > 1, strict=True))
        for (low, before), (high, after) in pairwise(pays):
            if before != after:
                found.append((context, low, high, after))
    columns = case["changes"].select("context_tokens", "batch_below", "batch_above", "pays_above")
    assert sorted(columns.rows()) == sorted(found)


def test_a_cell_that_does_not_fit_has_no_price() -> None:
    found = studied(**CASES["some fit"])
    shut = found["results"].filter(~pl.col("fits"))
    assert 0 < shut.height < found["results"].height
    for column in ("step_seconds", "speedup", "speedup_se", "p_loss", "p_best", "tokens_per_second_user"):
        assert shut[column].null_count() == shut.height
        assert found["results"].filter("fits")[column].null_count() == 0
    assert shut["tokens_per_step"].null_count() == 0
    cells_open = found["results"].filter("fits").select("batch", "context_tokens").unique().height
    assert found["best"].height == cells_open


def test_where_nothing_fits_nothing_is_recommended() -> None:
    found = studied(target="glm-4.5", hardware="rtx4090", batch="[1, 2]", draft_length="[0, 1]", worlds="2")
    assert found["results"]["fits"].to_list() == [False] * 4
    assert found["results"]["speedup"].null_count() == 4
    assert found["best"].is_empty()
    assert found["changes"].is_empty()


def test_the_post_checks_no_memory() -> None:
    found = studied(**CASES["post"])
    assert found["results"]["fits"].null_count() == found["results"].height
    assert found["results"]["speedup"].null_count() == 0
    assert found["results"]["prices"].unique().to_list() == ["post"]


def test_a_dense_target_has_no_experts_and_no_monte_carlo_error() -> None:
    found = studied(**CASES["dense"], prices="ideal")
    for column in ("distinct_experts", "distinct_experts_se", "distinct_experts_uniform"):
        assert found["results"][column].null_count() == found["results"].height
    assert found["results"]["speedup_se"].unique().to_list() == [0.0]
    assert (found["results"]["speedup_p05"] == found["results"]["speedup_p95"]).all()
    assert found["results"]["p_loss"].is_in([0.0, 1.0]).all()
    assert found["results"]["routing"].unique().to_list() == ["none"]
    assert found["best"]["split_half_noise"].unique().to_list() == [0.0]


def test_drawn_prices_spread_the_worlds_around_their_medians() -> None:
    """Each world has the prices of its number; without their spread a study is that at the medians."""
    keys = {"batch": "[4]", "draft_length": "[0, 2]", "context_tokens": "[1024]", "worlds": "40"}
    drawn, ideal = studied(**keys), studied(**keys, prices="ideal")
    wide, narrow = (
        found["results"].filter(draft_length=2).select(width=pl.col("speedup_p95") - pl.col("speedup_p05")).item()
        for found in (drawn, ideal)
    )
    assert wide > 5 * narrow
    best, row = drawn["best"].row(0, named=True), ideal["results"].filter(draft_length=2).row(0, named=True)
    promised = row["speedup"] if best["ideal_draft_length"] else 1.0
    assert best["ideal_speedup"] == pytest.approx(promised, rel=1e-12)
    assert best["regret_ideal"] >= 0
    assert ideal["best"]["ideal_draft_length"].null_count() == 1


def test_a_world_is_priced_by_the_terms_of_its_number() -> None:
    """Seconds of a step of a dense target, world by world, by a list built from that world's terms alone."""
    given = {"target": "llama-3-8b", "batch": "[2]", "draft_length": "[0, 3]", "drafter": "free", "worlds": "5"}
    resolved = scenario.fill("optimal-k", config.resolve("optimal-k", None, [f"{k}={v}" for k, v in given.items()], {}))
    built = scenario.build(resolved, 0)
    assert built.priors is not None
    assert isinstance(built.prices, Achieved)
    seconds = []
    for world in range(5):
        prices = replace(built.prices, terms=built.priors.draw(resolved.seed, world))
        seconds.append([float(prices.other_seconds(2, length, 4096)) for length in (0, 3)])
    found = studied(**given)["results"]
    np.testing.assert_allclose(found["step_seconds"], np.mean(seconds, axis=0), rtol=1e-12)
    assert np.std(seconds, axis=0).min() > 0


def test_a_grid_without_its_baseline_gives_the_same_speedup() -> None:
    base = studied(**BASE)
    alone = studied(**BASE | {"draft_length": "[2]"})
    assert alone["results"]["draft_length"].unique().to_list() == [2]
    assert alone["results"]["speedup"].to_list() == base["results"].filter(draft_length=2)["speedup"].to_list()
    assert alone["results"]["p_best"].unique().to_list() == [1.0]


def test_free_and_sure_drafts_are_worth_their_window_at_batch_1() -> None:
    found = studied(target="llama-3-8b", drafter="free", acceptance="1.0", batch="1", context_tokens="1024", worlds="2")
    np.testing.assert_allclose(found["results"]["tokens_per_step"], found["results"]["draft_length"] + 1)
    assert (found["results"]["speedup"] <= found["results"]["draft_length"] + 1 + 1e-9).all()
    assert found["best"]["best_draft_length"].to_list() == [8]


def test_hopeless_drafts_are_not_recommended() -> None:
    found = studied(**CASES["hopeless"])
    drafted = found["results"].filter(pl.col("draft_length") > 0)
    assert drafted["p_loss"].unique().to_list() == [1.0]
    assert drafted["tokens_per_step"].unique().to_list() == [1.0]
    assert found["best"]["recommended"].unique().to_list() == [0]


def test_tokens_per_step_are_one_and_the_survivals() -> None:
    found = studied(acceptance="[0.9, 0.4]", batch="1", draft_length="[0, 1, 2, 3]", worlds="2")
    last = 0.4 * (0.4 / 0.9)  # beyond what is known the last hazard is kept
    np.testing.assert_allclose(found["results"]["tokens_per_step"], [1, 1.9, 2.3, 2.3 + last], rtol=1e-12)
    assert found["results"]["extrapolated"].to_list() == [False, False, False, True]


@pytest.mark.parametrize("tail", ["request", "text", "anywhere"])
@pytest.mark.parametrize("batch", [1, 6])
def test_uniform_routing_costs_what_the_exact_law_says(tail: str, batch: int) -> None:
    lengths = np.array([0, 1, 4])
    found, done = simulated(
        batch=str(batch),
        draft_length="[0, 1, 4]",
        routing="uniform",
        tail=tail,
        worlds="48",
        drafter="fraction:0.2",
        prices="ideal",
    )
    sets = ["target=olmoe-1b-7b", "drafter=fraction:0.2", "prices=ideal"]
    resolved = scenario.fill("optimal-k", config.resolve("optimal-k", None, sets, {}))
    built = scenario.build(resolved, 0)
    tokens = batch * (lengths + 1)
    pmf = exact.distinct_pmf(built.experts, built.top_k, int(tokens.max()))[tokens]
    price = built.prices.moe_seconds(tokens[:, None], np.arange(built.experts + 1)[None, :])
    verify = built.prices.other_seconds(batch, lengths, 4096) + built.layers * np.sum(pmf * price, axis=1)
    expected = verify + 0.2 * lengths * verify[0]
    moe = np.concatenate([block["moe_seconds"] for block in done.values()]).mean(axis=1)
    worlds = moe[:, lengths] + 0.2 * lengths * moe[:, :1]
    errors = worlds.std(axis=0, ddof=1) / np.sqrt(len(worlds))
    experts = np.sum(pmf * np.arange(built.experts + 1), axis=1)
    for row, seconds, error, mean in zip(
        found["results"].iter_rows(named=True), expected, errors, experts, strict=True
    ):
        what = f"length {row['draft_length']}"
        within(row["step_seconds"], seconds, max(float(error), 1e-12 * seconds), largest=2e-3 * seconds, what=what)
        spread = max(row["distinct_experts_se"], 1e-9)
        within(row["distinct_experts"], float(mean), spread, largest=0.1, what=what)
        assert row["distinct_experts_uniform"] == pytest.approx(mean, rel=1e-9)
