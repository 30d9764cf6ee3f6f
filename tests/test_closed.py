"""Prices in closed form against slow, independent counts: the charts' own formulas, and a step kernel by kernel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import closed
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from montecarlo.overlap import Overlap
from montecarlo.post import POST, Post
from montecarlo.roofline import TERMS
from studies import catalog

UNIFORM = Overlap.uniform(POST.experts, POST.top_k)


def charted(batch: int, length: int, context: int) -> dict[str, float]:
    """Bytes-equivalents of one layer in the post's charts, written out."""
    tokens = batch * (length + 1)
    active = 256 * (1 - (1 - 6 / 256) ** tokens)
    return {
        "projections": max(2 * 107e6 * tokens / 563, 107e6),
        "experts": max(2 * 7 * 25.2e6 * tokens / 1125, (active + 1) * 25.2e6 * 0.53),
        "attention": batch * max(2 * 69_632 * context * (length + 1) / 281, 576 * context),
    }


@given(st.integers(1, 30_000), st.integers(0, 64), st.integers(1, 1_000_000))
def test_every_cell_of_the_post_is_its_chart_s(batch: int, length: int, context: int) -> None:
    found = closed.seconds(Post(Flat.of(fraction=0.1)), UNIFORM, batch, length, context)
    expected = charted(batch, length, context)
    assert found.keys() == expected.keys()
    for term, cost in expected.items():
        assert found[term] == pytest.approx(43 * cost / 8e12, rel=1e-11)


@given(st.sampled_from([0.3, 0.75, 0.95]), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([512, 4096, 65_536]))
def test_the_map_is_the_best_of_all_lengths_one_by_one(alpha: float, fraction: float, context: int) -> None:
    batches, lengths = (1, 3, 8, 40, 200, 3000), range(65)
    emitted = np.cumsum(alpha ** np.arange(65))
    surface = closed.grid(Post(Flat.of(fraction=fraction)), UNIFORM, batches, [context], lengths)
    best, gains = surface.best(emitted)
    for b, batch in enumerate(batches):
        base = sum(charted(batch, 0, context).values())
        slow = [
            sum(alpha**d for d in range(k + 1)) / (sum(charted(batch, k, context).values()) / base + fraction * k)
            for k in lengths
        ]
        assert gains[b, 0] == pytest.approx(max(slow), rel=1e-12)
        assert slow[best[b, 0]] == pytest.approx(max(slow), rel=1e-12)


def test_ties_go_to_the_shorter_draft_and_closed_cells_to_none() -> None:
    even = closed.Grid(np.ones((1, 1, 1)), np.array([[[1.0, 2.0, 3.0]]]), np.zeros((1, 1, 3)))
    assert even.best(np.array([1.0, 2.0, 3.0]))[0].item() == 0
    assert even.best(np.array([1.0, 2.0, 3.3]))[0].item() == 2
    allowed = np.array([[[True, True, False]]])
    assert even.best(np.array([1.0, 2.0, 3.3]), allowed)[0].item() == 0
    many = even.best(np.array([[1.0, 2.0, 3.3], [1.0, 2.4, 3.0]]))
    assert many[0].tolist() == [[[2]], [[1]]]


def marginal(batch: float, context: float) -> dict[str, closed.Marginal]:
    return closed.ledger(Post(Flat.of(fraction=0.1)), UNIFORM, batch, context)


@pytest.mark.parametrize("batch", [1, 2, 5, 30, 280, 282, 900, 10_900, 11_000, 30_000])
def test_the_ledger_s_ratios_have_the_post_s_formulas(batch: int) -> None:
    """0 and 1 for weights, B A'(B) / (A(B) + 1) for memory-bound experts, 1 for attention at T = 2."""
    found = marginal(float(batch), 4096.0)
    assert found["projections"].ratio == pytest.approx(float(2 * batch > 563), abs=1e-5)
    assert found["attention"].ratio == pytest.approx(1, abs=1e-5)
    gone = (1 - 6 / 256) ** batch
    active, slope = 256 * (1 - gone), -256 * np.log(1 - 6 / 256) * gone
    memory_bound = (active + 1) * 0.53 > 2 * 7 * batch / 1125
    assert found["experts"].ratio == pytest.approx(batch * slope / (active + 1) if memory_bound else 1.0, abs=1e-5)
    assert sum(float(term.share) for name, term in found.items() if name != "drafting") == pytest.approx(1)
    assert found["drafting"].share == pytest.approx(0.1)


def test_attention_is_free_below_its_crossover_and_everything_costs_in_the_limit() -> None:
    llama = Ideal(catalog.target("llama-3-70b"), catalog.hardware("b200-sxm"), Flat.of(fraction=0.0))
    lone = closed.ledger(llama, None, 1.0, 8192.0)
    assert all(float(term.ratio) == pytest.approx(0, abs=1e-6) for name, term in lone.items() if name != "drafting")
    crowd = closed.ledger(llama, None, 1e7, 8192.0)
    for name in ("projections", "dense", "lm_head"):
        assert float(crowd[name].ratio) == pytest.approx(1, abs=1e-6)
    endless = closed.ledger(llama, None, 64.0, 1e12)
    assert float(endless["attention"].share) == pytest.approx(1, abs=1e-4)


@given(
    st.sampled_from(["gpt-oss-120b", "deepseek-v4-flash", "qwen3.6-35b-a3b", "llama-3-8b"]),
    st.integers(1, 4000),
    st.integers(0, 16),
    st.integers(1, 200_000),
    st.sets(st.sampled_from(TERMS), min_size=1),
)
def test_terms_add_up_and_can_be_left_out(name: str, batch: int, length: int, context: int, terms: set[str]) -> None:
    target = catalog.target(name)
    prices = Ideal(target, catalog.hardware("b200-sxm"), Eagle3.of(target))
    overlap = None if target.moe is None else Overlap.uniform(target.moe.experts, target.moe.top_k)
    every = closed.seconds(prices, overlap, batch, length, context)
    some = closed.seconds(prices, overlap, batch, length, context, terms)
    assert some == {term: spent for term, spent in every.items() if term in terms}
    step = float(sum(every.values()))
    experts = 0.0
    if target.moe is not None:
        assert overlap is not None
        distinct = overlap.distinct(batch, length + 1)
        experts = target.moe_layers * float(prices.moe_seconds(batch * (length + 1), distinct))
    assert step == pytest.approx(float(prices.other_seconds(batch, length, context)) + experts, rel=1e-12)
    surface = closed.grid(prices, overlap, [batch], [context], [length])
    assert surface.verify[0, 0, 0] == pytest.approx(step)
    base = float(sum(closed.seconds(prices, overlap, batch, 0, context).values()))
    assert surface.draft[0, 0, 0] == pytest.approx(float(prices.draft_seconds(batch, length, context, base)))
    without = closed.grid(prices, overlap, [batch], [context], [length], [term for term in TERMS if term != "drafting"])
    assert without.draft[0, 0, 0] == 0


def test_flops_of_a_step_are_two_per_active_weight_and_the_cores() -> None:
    """Llama-3-8B: 2 x (parameters but the embedding) per token and 4 n_h d_h S per layer and token."""
    target = catalog.target("llama-3-8b")
    prices = Ideal(target, catalog.hardware("h100-sxm"), Flat.of(fraction=0.0))
    found = closed.flops(prices, None, 3, 1, 1000)
    assert found == pytest.approx(6 * (2 * target.parameters()[1] + 32 * 4 * 32 * 128 * 1000))
