"""economics: its frames against each other and against slow counts, for the post and for targets of one's own."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import closed, estimate
from montecarlo.errors import InputError
from studies import columns, config, economics, results, scenario
from studies.claims.charts import LEDGER, MAP, MLA_TABLE
from studies.results import Results
from tests.test_cli import invoke, sets


def studied(**keys: str) -> Results:
    """The study in memory, of one's own scenario where `keys` name a deployment."""
    given = [f"{key}={value}" for key, value in keys.items()]
    resolved = scenario.fill("economics", config.resolve("economics", None, given, {}))
    return economics.conclude(resolved, 0, {}, {})


@pytest.fixture(scope="module")
def default() -> Results:
    return studied()


@pytest.fixture(scope="module")
def post(default: Results) -> dict[str, pl.DataFrame]:
    name = default["results"]["scenario"][0]
    return {key: f.filter(scenario=name) for key, f in default.frames.items() if "scenario" in f.columns}


CASES = {
    "own": {"target": "qwen3-30b-a3b", "hardware": "h100-sxm", "batch": "[1, 8, 64]"},
    "eagle": {"target": "gpt-oss-120b", "hardware": "h200-sxm", "batch": "[1, 8, 64]"},
    "linear": {"target": "qwen3.6-35b-a3b", "batch": "[1, 16]", "draft_length": "[0, 1, 3]"},
    "dense": {"target": "llama-3-8b", "batch": "[1, 300]", "context_tokens": "1000"},
    "some fit": {"target": "mixtral-8x7b", "hardware": "b200-sxm", "batch": "[1, 10000]"},
    "nothing fits": {"target": "deepseek-v3", "batch": "[1, 2]", "draft_length": "[0, 1]"},
    "no drafts": {"target": "olmoe-1b-7b", "batch": "4", "draft_length": "0"},
    "terms": {"target": "olmoe-1b-7b", "batch": "[1, 4]", "terms": '["experts", "drafting"]'},
    "by depth": {"target": "olmoe-1b-7b", "batch": "[1, 4]", "acceptance": "[0.8, 0.5]", "draft_length": "[0, 2, 3]"},
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Results:
    return studied(**CASES[request.param])


def test_every_frame_has_its_columns(case: Results) -> None:
    assert set(case.frames) == set(columns.FILES["economics"])
    for name, schema in columns.FILES["economics"].items():
        assert dict(case[name].schema) == schema, name
        for column, dtype in schema.items():
            if dtype == pl.Float64:
                assert case[name][column].drop_nulls().is_finite().all(), (name, column)


def test_speedup_is_tokens_times_the_ratio_of_steps(case: Results) -> None:
    grid = case["results"]
    key = ["batch", "context_tokens"]
    base = grid.filter(draft_length=0).select(*key, alone="step_seconds")
    joined = grid.join(base, on=key).drop_nulls("speedup")
    expected = joined["tokens_per_step"] * joined["alone"] / joined["step_seconds"]
    np.testing.assert_allclose(joined["speedup"], expected, rtol=1e-12)
    np.testing.assert_allclose(joined["tokens_per_second_device"], joined["tokens_per_second_user"] * joined["batch"])
    assert (grid["fits"].fill_null(True) == grid["speedup"].is_not_null()).all()


def test_the_best_length_is_the_best_row_of_the_grid(case: Results) -> None:
    fitting = case["results"].drop_nulls("speedup")
    assert case["best"].height == fitting.select("batch", "context_tokens").unique().height
    for row in case["best"].iter_rows(named=True):
        here = fitting.filter(batch=row["batch"], context_tokens=row["context_tokens"]).sort("draft_length")
        top = here["speedup"].max()
        assert row["speedup"] == top
        assert row["best_draft_length"] == here.filter(speedup=top)["draft_length"][0]
        assert row["recommended"] == here.filter(pl.col("speedup") >= 0.99 * top)["draft_length"][0]
        assert row["drafting_speedup"] == here.filter(pl.col("draft_length") > 0)["speedup"].max()


def test_the_ledger_s_total_is_the_sum_of_its_terms(case: Results) -> None:
    ledger = case["ledger"]
    key = ["context_tokens", "batch"]
    total = ledger.filter(term="total").sort(key)
    parts = ledger.filter(pl.col("term") != "total").group_by(key).agg(pl.col("marginal_cost").sum()).sort(key)
    np.testing.assert_allclose(total["marginal_cost"], parts["marginal_cost"], rtol=1e-9)
    np.testing.assert_allclose(ledger["marginal_cost"], ledger["ratio"] * ledger["share"], atol=1e-15)
    step = ledger.filter(~pl.col("term").is_in(["total", "drafting"])).group_by(key).agg(pl.col("share").sum())
    np.testing.assert_allclose(step["share"], 1, rtol=1e-9)


def test_the_post_s_golden_outputs_are_in_the_files(post: dict[str, pl.DataFrame]) -> None:
    best = {row["batch"]: row for row in post["best"].filter(context_tokens=4096).iter_rows(named=True)}
    ledger = {
        row["batch"]: row["marginal_cost"]
        for row in post["ledger"].filter(context_tokens=4096, term="total").iter_rows(named=True)
    }
    for batch, (length, speedup) in MAP.items():
        assert (best[batch]["best_draft_length"], round(best[batch]["speedup"], 3)) == (length, speedup)
    for batch, r in LEDGER.items():
        assert ledger[batch] == pytest.approx(r, abs=6e-4)


def test_the_post_s_table_is_in_the_files(post: dict[str, pl.DataFrame]) -> None:
    cells = {(r["context_tokens"], r["queries"]): r for r in post["attention"].iter_rows(named=True)}
    for context, row in MLA_TABLE.items():
        for queries, printed in zip((1, 2, 4, 8), row, strict=True):
            assert round(cells[context, queries]["intensity"]) in (printed, printed + 1, printed - 1)
            assert cells[context, queries]["compute_bound"] is (cells[context, queries]["intensity"] >= 281)


def test_the_map_is_the_best_length_of_every_alpha(post: dict[str, pl.DataFrame]) -> None:
    """At the scenario's own alpha the map is `best`; at others it is the argmax over the grid's step seconds."""
    own = post["map"].filter(pl.col("alpha") == 0.75).sort("context_tokens", "batch")
    best = post["best"].sort("context_tokens", "batch")
    assert own["best_draft_length"].to_list() == best["best_draft_length"].to_list()
    np.testing.assert_allclose(own["speedup"], best["speedup"], rtol=1e-12)
    step = post["results"].filter(context_tokens=4096).sort("batch", "draft_length")
    seconds = step["step_seconds"].to_numpy().reshape(-1, 65)
    for alpha in (0.01, 0.5, 0.99):
        emitted = np.cumsum(alpha ** np.arange(65))
        expected = np.argmax(emitted / seconds, axis=1)
        found = post["map"].filter(context_tokens=4096, alpha=alpha).sort("batch")["best_draft_length"].to_list()
        assert found == expected.tolist()


def test_gutters_of_the_post(post: dict[str, pl.DataFrame]) -> None:
    at = post["gutters"].filter(context_tokens=4096)
    own = at.filter(acceptance="0.75", kind="gutter")
    assert own.select("batch_from", "batch_to").rows() == [(4, 13)]
    assert at.filter(acceptance="alpha 0.8", kind="gutter").is_empty()


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_gutters_are_the_runs_of_zeros(drafting: list[bool]) -> None:
    batches = np.arange(10, 10 + len(drafting))
    found = estimate.gutters(batches, np.asarray(drafting, int))
    inside = {batch for low, high, _ in found for batch in range(low, high + 1)}
    assert inside == {10 + i for i, drafts in enumerate(drafting) if not drafts}
    for low, high, kind in found:
        below, above = drafting[: low - 10], drafting[high - 9 :]
        assert not below or below[-1]
        assert not above or above[0]
        assert (
            kind
            == {(True, True): "gutter", (True, False): "below", (False, True): "above", (False, False): "everywhere"}[
                bool(below), bool(above)
            ]
        )


def test_intensity_is_flop_over_bytes_of_the_experts() -> None:
    """Qwen3-30B-A3B in bf16: 2 x 8 experts per token over 2 B x distinct experts, 128 x 2 over 2 x 128 when dense."""
    found = studied(target="qwen3-30b-a3b", batch="1", routing="uniform")["intensity"]
    tokens = found["tokens"].to_numpy()
    distinct = 128 * (1 - (1 - 8 / 128) ** tokens)
    np.testing.assert_allclose(found["moe"], 2 * tokens * 8 / (2 * distinct), rtol=1e-12)
    np.testing.assert_allclose(found["dense"], tokens, rtol=1e-12)
    np.testing.assert_allclose(found["ridge"], 2250e12 / 8e12)
    assert studied(**CASES["dense"])["intensity"].is_empty()


def test_a_new_alpha_prices_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map of another alpha needs the step seconds already there (the bench has its time)."""
    filled = scenario.fill("economics", config.resolve("economics", None, [], {}))
    surface = economics.prepared(filled.model_dump_json(), 0).grid((1, 8, 64))

    def priced(*_: object) -> None:
        raise AssertionError("priced again")

    monkeypatch.setattr(closed, "kernels", priced)
    best, _ = surface.best(np.cumsum(0.9 ** np.arange(65)))
    assert best[0, 0] > 0
    with pytest.raises(AssertionError, match="priced again"):
        economics.prepared(filled.model_dump_json(), 0).grid((1,))


def test_what_it_cannot_do_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = [
        ("routing", "gpt-oss-20b", "has to be sampled"),
        ("routing", "uniforn", "did you mean 'uniform'"),
        ("tail", "anywhere", "has no tail"),
        ("batch", "0", "at least 1"),
        ("terms", '["drafting"]', "leaves no step"),
        ("terms", '["fixed", "drafting"]', "leaves no step"),
        ("terms", '["expert"]', "terms"),
        ("dollars_per_device_hour", "2", "key of the study frontier"),
        ("draft_length", "65", "from 0"),
    ]
    for key, value, message in refused:
        found = invoke("run", "economics", *sets(**{key: value}), "--out", str(tmp_path / "out"))
        assert found.code == 2, key
        assert message in found.err, found.err
        assert found.err.count("\n") == 1
    for option in (["--worlds", "4"], ["--error", "1"], ["--seed", "1"]):
        found = invoke("run", "economics", *option, "--out", str(tmp_path / "out"))
        assert (found.code, "exact" in found.err) == (2, True)
    assert "key of the study economics" in invoke("run", "optimal-k", "--set", 'terms=["experts"]').err
    assert not (tmp_path / "out").exists()


def test_a_trace_and_routing_from_it_are_refused() -> None:
    resolved = config.resolve("economics", None, ["target=gpt-oss-20b", "routing=trace"], {})
    with pytest.raises(InputError, match="replays no trace"):
        economics.prepared(resolved.model_dump_json(), 0)


def test_results_go_to_files_and_back(default: Results, tmp_path: Path) -> None:
    results.write(tmp_path, default)
    again = results.read(tmp_path)
    assert again.study == "economics"
    for name in default.frames:
        assert again[name].equals(default[name], null_equal=True)
