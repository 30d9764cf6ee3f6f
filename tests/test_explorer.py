"""explorer.json adds up to what the studies say: level by level, term by term, at home and between its nodes."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from montecarlo import closed
from montecarlo.drafter import Flat
from montecarlo.overlap import Overlap
from studies import config, explorer_closed, scenario
from studies.exact import Exact, prepared
from studies.results import Results
from tests import explored
from tests.explored import At, Part
from tests.test_study import studied

DIGITS = 1.5e-4  # relative: numbers of five digits (5e-5 each), added and divided
CLOSED = {
    "post": {"target": "deepseek-v4-flash", "prices": "post", "routing": "uniform"},
    "achieved": {"target": "deepseek-v4-flash", "context_tokens": "[4096, 16845]"},
    "eagle": {"target": "gpt-oss-120b", "hardware": "h200-sxm", "drafter": "eagle-3"},
    "ideal": {"target": "qwen3-30b-a3b", "hardware": "h100-sxm", "prices": "ideal", "drafter": "free"},
    "dense": {"target": "llama-3-8b", "acceptance": "[0.8, 0.6, 0.3]", "draft_length": "[2, 3, 9]"},
    "some terms": {"target": "olmoe-1b-7b", "terms": '["experts", "attention"]'},
}  # fmt: skip


@cache
def built(case: str) -> Exact:
    given = [f"{key}={value}" for key, value in CLOSED[case].items()]
    resolved = scenario.fill("economics", config.resolve("economics", None, given, {}))
    return prepared("economics", resolved.model_dump_json(), 0)


@cache
def part(case: str) -> Part:
    found = explorer_closed.scenario(built(case))
    assert found is not None
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def priced(case: str, batch: int, context: int, overlap: Overlap | None = None, **changes: Any) -> np.ndarray:
    """Speedups straight from the price formulas; `terms` and `drafter` may be others."""
    exact, lengths = built(case), np.asarray(part(case)["lengths"])
    prices = replace(exact.prices, drafter=changes.get("drafter", exact.prices.drafter))
    surface = closed.grid(
        prices, overlap or exact.overlap, [batch], [context], lengths, changes.get("terms", exact.terms)
    )
    return surface.speedup(exact.acceptance.tokens_per_step(lengths))[0, 0]


def same(found: list[float | None], expected: np.ndarray, tolerance: float = DIGITS) -> None:
    fitting = [k for k, one in enumerate(found) if one is not None]
    assert fitting
    np.testing.assert_allclose([found[k] for k in fitting], expected[fitting], rtol=tolerance)  # type: ignore[misc]


@pytest.mark.parametrize("case", CLOSED)
def test_closed_forms_add_up_at_every_node(case: str) -> None:
    held = part(case)
    for context in held["contexts"]:
        for batch in held["batches"]:
            at = At(batch, context)
            if explored.fits(held, at, 0):
                same(explored.speedups(held, at), priced(case, batch, context))


@pytest.mark.parametrize("case", CLOSED)
def test_terms_and_drafter_may_be_others(case: str) -> None:
    held, exact = part(case), built(case)
    at = At(held["batches"][3], held["contexts"][1])
    terms = [*held["terms"], *(["experts"] if held["experts"] else []), "drafting"]
    assert {*terms} == {*closed.seconds(exact.prices, exact.overlap, 1, 0, 1, exact.terms), "drafting"}
    for term in terms[: len(terms) - (len(terms) == 2)]:
        left = tuple(name for name in exact.terms if name != term)
        same(
            explored.speedups(held, replace(at, off=frozenset({term}))), priced(case, at.batch, at.context, terms=left)
        )
    dear = priced(case, at.batch, at.context, drafter=Flat.of(fraction=0.37), terms=(*exact.terms, "drafting"))
    same(explored.speedups(held, replace(at, cost=0.37)), dear)


@pytest.mark.parametrize("case", CLOSED)
def test_between_nodes_the_error_is_what_the_docs_say(case: str) -> None:
    held, worst, rng = part(case), 0.0, np.random.default_rng(1)
    for _ in range(150):
        batch = round(np.exp(rng.uniform(0, np.log(held["batches"][-1]))))
        at = At(batch, round(np.exp(rng.uniform(*np.log(held["contexts"])[[0, -1]]))))
        found, expected = explored.speedups(held, at), priced(case, at.batch, at.context)
        worst = max(worst, *(abs(one / expected[k] - 1) for k, one in enumerate(found) if one is not None), 0.0)
    assert worst < 0.015
    assert held["batches"][0] == 1
    assert np.max(np.diff(np.log(held["batches"])[8:])) < 0.4


def test_iid_acceptances_are_geometric_sums() -> None:
    held = part("post")
    for place, alpha in enumerate((0.01, 0.02, 0.03)):
        at = At(1, 1024, alpha=place)
        assert explored.tokens(held, at, 3) == pytest.approx(1 + alpha + alpha**2 + alpha**3, rel=DIGITS)
    assert len(held["tokens"]["iid"]) == 99


@pytest.mark.parametrize("case", ["post", "achieved", "eagle"])
def test_the_study_s_overlap_is_a_level_between_others(case: str) -> None:
    exact, experts = built(case), part(case)["experts"]
    family, studied_at = explorer_closed.levels(exact, 9)
    assert exact.overlap is not None
    assert experts["studied"] == studied_at == (0 if case == "post" else 2)
    assert experts["levels"] == sorted(experts["levels"])
    touched = [overlap.distinct(np.array([[1.0], [7.0]]), np.arange(1.0, 10)) for overlap in family]
    assert np.all(np.diff(touched, axis=0)[..., 1:] < 0)  # the more is shared, the fewer are touched, at every window
    np.testing.assert_allclose(np.diff(touched, axis=0)[..., 0], 0, atol=1e-9)
    np.testing.assert_array_equal(
        touched[studied_at], exact.overlap.distinct(np.array([[1.0], [7.0]]), np.arange(1.0, 10))
    )
    share = 2 - touched[studied_at][0, 1] / exact.top_k
    assert experts["levels"][studied_at] == pytest.approx(share, rel=DIGITS)


def test_every_level_is_priced_and_between_levels_the_error_is_small() -> None:
    held, exact = part("achieved"), built("achieved")
    family, _ = explorer_closed.levels(exact, 9)
    at = At(8, 4096)
    for level, overlap in zip(held["experts"]["levels"], family, strict=True):
        same(explored.speedups(held, replace(at, level=level)), priced("achieved", 8, 4096, overlap))
    between = Overlap(family[2].inclusion, family[3].windows, (family[3].independent + family[4].independent) / 2)
    share = explorer_closed.sharing(between, exact.top_k)
    assert held["experts"]["levels"][3] < share < held["experts"]["levels"][4]
    same(explored.speedups(held, replace(at, level=share)), priced("achieved", 8, 4096, between), 5e-3)


def test_what_fits_is_what_the_prices_say() -> None:
    held, exact = part("eagle"), built("eagle")
    for c, context in enumerate(held["contexts"]):
        for k, length in enumerate(held["lengths"]):
            most = held["largest"][c][k]
            assert exact.prices.fits(most, length, context)
            assert not exact.prices.fits(most + 1, length, context)
    assert part("post")["largest"] is None


SAMPLED = {
    "surface": {"context_tokens": "[1024, 65536]", "drafter": "eagle-3"},
    "flat": {"acceptance": "[0.8, 0.5]", "draft_length": "[2, 3]"},
    "walk": {"acceptance": "eagle-1-vicuna-7b", "world_requests": "48", "worlds": "3"},
    "dense walk": {"acceptance": "eagle-1-vicuna-7b", "worlds": "3", "target": "llama-3-8b", "drafter": "eagle-3"},
    "post": {"target": "deepseek-v4-flash", "hardware": "b200-sxm", "prices": "post", "routing": "uniform"},
    "some fit": {"target": "llama-3-8b", "hardware": "rtx4090", "context_tokens": "[4096, 32768]", "prices": "ideal"},
}


@pytest.fixture(scope="module", params=SAMPLED)
def sampled(request: pytest.FixtureRequest) -> Results:
    return studied(**{"batch": "[1, 4, 12]", "worlds": "6", "draft_length": "[0, 1, 4]"} | SAMPLED[request.param])


def only(found: Results) -> Part:
    assert found.explorer is not None
    (held,) = found.explorer["scenarios"]
    return held  # type: ignore[no-any-return]


def test_at_home_the_explorer_says_what_the_results_say(sampled: Results) -> None:
    held, seen = only(sampled), 0
    for row in sampled["results"].iter_rows(named=True):
        if row["batch"] not in held["batches"]:
            continue
        at, k = At(row["batch"], row["context_tokens"]), held["lengths"].index(row["draft_length"])
        c, b = held["contexts"].index(at.context), held["batches"].index(at.batch)
        found = explored.speedups(held, at)[k]
        assert (found is None) == (row["speedup"] is None)
        if found is not None:
            spent = sum(explored.step_terms(held, at, k).values()) + explored.drafting(held, at, k)
            assert found == pytest.approx(row["speedup"], rel=DIGITS)
            assert spent == pytest.approx(1e6 * row["step_seconds"], rel=DIGITS)
            assert held["p_loss"][c][b][k] == pytest.approx(row["p_loss"] if held["lengths"][k] else 0, rel=DIGITS)
            seen += 1
    assert seen == sampled["results"]["speedup"].count()
    assert held["lengths"][0] == 0


def test_routing_goes_from_uniform_to_the_study_s_own() -> None:
    keys = {"batch": "[1, 8]", "draft_length": "[0, 1, 3]", "worlds": "6", "prices": "ideal"}
    own, uniform = studied(**keys), studied(**keys, routing="uniform")
    assert only(uniform)["experts"]["levels"] == [1]
    assert only(own)["experts"] | {"at": 0} == {
        "axis": "routing", "name": "gpt-oss-20b", "levels": [0, 1], "studied": 1, "at": 0,
    }  # fmt: skip
    drafted = uniform["results"].filter(pl.col("draft_length") > 0)
    apart = own["results"].filter(pl.col("draft_length") > 0)["speedup"] - drafted["speedup"]
    assert apart.abs().max() > 0.02  # so that the comparison below can fail
    for row in drafted.iter_rows(named=True):
        at, k = At(row["batch"], row["context_tokens"], level=0.0), [0, 1, 3].index(row["draft_length"])
        assert explored.speedups(only(own), at)[k] == pytest.approx(row["speedup"], rel=0.005)


def test_the_uniform_end_prices_every_world() -> None:
    found = only(studied(batch="[1, 8]", draft_length="[0, 3]", worlds="70"))  # worlds past a chunk
    uniform = only(studied(batch="[1, 8]", draft_length="[0, 3]", worlds="70", routing="uniform"))
    for batch in (1, 8):
        end, all_ = (
            explored.step_terms(held, At(batch, 4096, level=level), 1)["experts"]
            for held, level in ((found, 0.0), (uniform, None))
        )
        assert end == pytest.approx(all_, rel=0.005)
