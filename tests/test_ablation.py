"""The ablation: it begins at the post, ends at the layer-by-layer prices, and every step changes what it says."""

import numpy as np
import polars as pl
import pytest

from montecarlo import closed
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.post import Post
from studies import ablation, catalog
from studies.claims.charts import MAP
from studies.columns import ABLATION

STEPS = ablation.steps()
NAMES = [step.name for step in STEPS]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return ablation.frame()


def attention(number: int, batch: int, context: int, length: int = 1) -> tuple[float, float]:
    """(FLOP, bytes) of all attention kernels of a step's verify."""
    found = [k for k in STEPS[number].prices.kernels(batch, length, context) if k.term == "attention"]
    return (
        sum(float(np.asarray(k.count * np.asarray(k.work.flops))) for k in found),
        sum(float(np.asarray(k.count * np.asarray(k.work.bytes))) for k in found),
    )


def test_it_begins_at_the_post(frame: pl.DataFrame) -> None:
    assert dict(frame.schema) == ABLATION
    assert STEPS[0].prices == Post(Flat.of(fraction=0.1))
    first = frame.filter(step=0, context_tokens=4096)
    found = {row["batch"]: (row["best_draft_length"], round(row["speedup"], 3)) for row in first.iter_rows(named=True)}
    assert {batch: found[batch] for batch in MAP} == MAP
    gutter = first.filter("in_gutter")["batch"].to_list()
    assert gutter == [batch for batch in ablation.BATCHES if 4 <= batch <= 13]


def test_from_the_lm_head_on_it_is_the_ideal_price_list() -> None:
    target, device = catalog.target("deepseek-v4-flash"), catalog.hardware("b200-sxm")
    assert [step.prices for step in STEPS[5:]] == [Ideal(target, device, Flat.of(fraction=0.1))] * 3


def test_layer_mix_counts_v4_s_layers_with_the_post_s_latent() -> None:
    """21 x (top 512 of S/4 and 128), 20 x (S/128 and 128), 2 x 128 pairs of 139,264 FLOP; the indexer apart."""
    context, batch, asked = 8192, 3, 6
    pairs = 21 * (512 + 128) + 20 * (64 + 128) + 2 * 128
    index = 21 * context / 4
    for number, per_pair in ((2, 139_264), (3, 131_072), (4, 131_072)):
        flops, moved = attention(number, batch, context)
        assert flops == pytest.approx(asked * (pairs * per_pair + index * 2 * 64 * 128), rel=1e-12)
        queries = asked * (43 * 64 * 512 * 2 + 21 * 64 * 128 / 2)
        rows = batch * (pairs * 576 + index * 128)
        assert moved == pytest.approx(rows + (queries if number == 4 else 0), rel=1e-12)


def test_each_step_changes_its_own_terms_only() -> None:
    def terms(number: int) -> dict[str, float]:
        step = STEPS[number]
        found = closed.seconds(step.prices, step.overlap, 32, 3, 8192)
        return {term: float(spent) for term, spent in found.items()}

    changed = {
        1: {"projections", "experts", "attention"},
        2: {"projections", "attention"},
        3: {"attention"},
        4: {"attention"},
        5: {"lm_head", "router"},
        6: {"experts"},
        7: {"experts"},
    }
    for number, expected in changed.items():
        before, after = terms(number - 1), terms(number)
        moved = {term for term in before | after if before.get(term, 0) != pytest.approx(after.get(term, 0), rel=1e-9)}
        assert moved <= expected, NAMES[number]
        if number > 1:
            assert moved, NAMES[number]


def test_the_gutter_shrinks_with_the_layer_mix_and_is_gone_with_overlap(frame: pl.DataFrame) -> None:
    width = frame.filter("in_gutter").group_by("step", "context_tokens").agg(pl.len()).sort("step")
    found = {(row["step"], row["context_tokens"]): row["len"] for row in width.iter_rows(named=True)}
    for context in ablation.CONTEXTS:
        assert found[0, context] > found.get((2, context), 0) >= found.get((5, context), 0)
        assert (6, context) not in found
        assert (7, context) not in found


def test_changes_add_up(frame: pl.DataFrame) -> None:
    for (_, _), cell in frame.group_by("context_tokens", "batch"):
        ordered = cell.sort("step")
        speedups = ordered["speedup"].to_numpy()
        np.testing.assert_allclose(np.diff(speedups), ordered["speedup_change"].to_numpy()[1:], atol=1e-15)
        assert ordered["speedup_change"][0] is None
