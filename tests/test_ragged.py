"""Batches whose sequences differ: equal to the uniform price where they do not, and to sums of works where they do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from montecarlo.hardware import BYTES
from montecarlo.post import Post
from studies import catalog

HARDWARE = catalog.hardware("h200-sxm")
FREE = Flat.of(fraction=0.0)


@pytest.mark.parametrize("name", catalog.table("targets"))
@given(batch=st.integers(1, 600), length=st.integers(0, 9), context=st.integers(0, 200_000))
def test_equal_sequences_cost_what_the_uniform_batch_costs(name, batch, length, context) -> None:
    """Every attention kind of the catalogue, with both drafters; at either side of every ridge."""
    target = catalog.target(name)
    for drafter in (Eagle3.of(target), Flat.of(fraction=0.07)):
        prices = Ideal(target, HARDWARE, drafter)
        same = np.full((2, batch), length), np.full((2, batch), context)
        verify = prices.ragged_seconds(same[0] + 1, same[1])
        np.testing.assert_allclose(verify, [prices.other_seconds(batch, length, context)] * 2, rtol=1e-12)
        draft = prices.ragged_draft_seconds(*same, 1e-3)
        np.testing.assert_allclose(draft, [prices.draft_seconds(batch, length, context, 1e-3)] * 2, rtol=1e-12)


@given(batch=st.integers(1, 600), length=st.integers(0, 9), context=st.integers(0, 200_000))
def test_the_post_too(batch, length, context) -> None:
    prices = Post(Flat.of(fraction=0.1))
    same = np.full(batch, length), np.full(batch, context)
    assert prices.ragged_seconds(same[0] + 1, same[1]) == pytest.approx(
        float(prices.other_seconds(batch, length, context)), rel=1e-12
    )
    assert prices.ragged_draft_seconds(*same, 2e-3) == float(prices.draft_seconds(batch, length, context, 2e-3))


def test_a_ragged_batch_of_the_post_written_out() -> None:
    """Bytes-equivalents of its 43 layers over the bandwidth; its attention is compute-bound from two queries on."""
    queries, context = [4, 1, 9], [1000, 90, 30_000]
    pairs = sum(asked * seen for asked, seen in zip(queries, context, strict=True))
    layer = max(2 * 107e6 * 14 / 563, 107e6) + max(2 * 69_632 * pairs / 281, 576 * sum(context))
    found = Post(Flat.of(fraction=0.1)).ragged_seconds(queries, context)
    assert found == pytest.approx(43 * layer / 8e12, rel=1e-12)


def test_a_ragged_verify_of_gpt_oss_written_out() -> None:
    """Attention works of three sequences, summed before the maximum; half of the layers see 128 tokens at most."""
    prices = Ideal(catalog.target("gpt-oss-120b"), HARDWARE, FREE)
    queries, context = [4, 1, 9], [1000, 90, 30_000]

    def kernel(flops: float, moved: float) -> float:
        return max(flops / 989.5e12, moved / 4.8e12)

    projections = 2880 * 64 * 64 + 2 * 2880 * 8 * 64 + 64 * 64 * 2880
    total = kernel(2 * 14 * 2880 * 201_088, 2 * 2880 * 201_088)
    total += 36 * (kernel(2 * 14 * projections, 2 * projections) + kernel(2 * 14 * 2880 * 128, 2 * 2880 * 128))
    for seen in (context, [min(tokens, 128) for tokens in context]):
        flops = sum(4 * 64 * 64 * asked * keys for asked, keys in zip(queries, seen, strict=True))
        total += 18 * kernel(flops, sum(seen) * 2 * 8 * 64 * 2)
    assert prices.ragged_seconds(queries, context) == pytest.approx(total, rel=1e-12)
    mean = prices.other_seconds(3, np.mean(queries) - 1, np.mean(context))
    assert mean != pytest.approx(total, rel=1e-4)  # a batch of three means is another batch


def test_ragged_drafting_written_out() -> None:
    """EAGLE-3 of three sequences that draft 3, 1 and 0 tokens: passes over 2, 1 and 1 of them."""
    target = catalog.target("gpt-oss-120b")
    drafter = Eagle3.of(target)
    prices = Ideal(target, HARDWARE, drafter)
    kv = 2 * 8 * 64 * BYTES[target.kv_format]

    def kernel(flops: float, moved: float) -> float:
        return max(flops / 989.5e12, moved / 4.8e12)

    def matrix(weights: int, tokens: int, stored: str) -> float:
        peak = HARDWARE.peak(stored, drafter.activations)
        return max(2 * weights * tokens / peak, weights * BYTES[stored] / 4.8e12)

    def one_pass(queries: list[int], contexts: list[int]) -> float:
        pairs = sum(asked * seen for asked, seen in zip(queries, contexts, strict=True))
        layer = matrix(drafter.layer_parameters(), sum(queries), drafter.stored)
        head = matrix(drafter.head_parameters(), len(queries), drafter.head_stored)
        return layer + head + kernel(4 * 64 * 64 * pairs, sum(contexts) * kv)

    fusion = matrix(drafter.fusion_parameters(), 6, drafter.stored)
    total = fusion + one_pass([4, 2], [5000, 700]) + one_pass([1], [5000]) + one_pass([1], [5000])
    drafted, context = np.array([[3, 1, 0], [0, 0, 0]]), np.array([[5000, 700, 40]] * 2)
    np.testing.assert_allclose(prices.ragged_draft_seconds(drafted, context, 1.0), [total, 0.0], rtol=1e-12)
    flat = Ideal(target, HARDWARE, Flat.of(fraction=0.1)).ragged_draft_seconds(drafted, context, np.array([2.0, 2.0]))
    np.testing.assert_allclose(flat, [0.6, 0.0])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50_000)), min_size=1, max_size=6), st.randoms())
def test_order_does_not_matter_and_more_is_never_cheaper(slots, random) -> None:
    target = catalog.target("deepseek-v4-flash")
    prices = Ideal(target, HARDWARE, Eagle3.of(target))
    shuffled = random.sample(slots, len(slots))

    def cost(slots: list[tuple[int, int]]) -> float:
        drafted, context = (np.array(values) for values in zip(*slots, strict=True))
        verify = prices.ragged_seconds(drafted + 1, context)
        return float(verify + prices.ragged_draft_seconds(drafted, context, 1.0))

    assert cost(shuffled) == pytest.approx(cost(slots), rel=1e-12)
    for more in ((slots[0][0] + 1, slots[0][1]), (slots[0][0], slots[0][1] + 999)):
        assert cost([more, *slots[1:]]) >= cost(slots) * (1 - 1e-12)
    assert cost([*slots, (2, 2000)]) >= cost(slots)
