"""Achieved prices: neutral terms are the roofline, each term against a count by hand, laws of monotony."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import closed
from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.overlap import Overlap
from montecarlo.roofline import Work, seconds
from montecarlo.terms import NAMES, SECONDS, SHARES, Terms, captured, wrong
from studies import catalog

H200 = catalog.hardware("h200-sxm")
OSS = catalog.target("gpt-oss-120b")
COARSE: dict[str, Any] = {
    **dict.fromkeys(SHARES, 0.5),
    **dict.fromkeys(SECONDS, 1e-4),
    "unhidden": 0.5,
    "straggler": 0.01,
    "kv_reads": 0.5,
    "activations": 0.5,
    "expert_activations": 2.0,
}


def prices(target=OSS, drafter=None, hardware=H200, **terms: Any) -> Achieved:
    return Achieved(target, hardware, drafter or Eagle3.of(target), Terms.of(**terms))


def whole(achieved: Ideal, batch: float, length: float, context: float) -> float:
    """Seconds of a step of gpt-oss-120b with 30 distinct experts, drafting included."""
    verify = achieved.other_seconds(batch, length, context)
    verify = verify + achieved.moe_layers * achieved.moe_seconds(np.multiply(batch, np.add(length, 1)), 30)
    return float(verify + achieved.draft_seconds(batch, length, context, 0.01))


@pytest.mark.parametrize("name", catalog.table("targets"))
@given(batch=st.integers(1, 600), length=st.integers(0, 9), context=st.integers(1, 200_000))
def test_neutral_terms_are_the_ideal_prices_to_the_bit(name, batch, length, context) -> None:
    target = catalog.target(name)
    tokens, many = batch * (length + 1), np.arange(1, 4)
    drafted, seen = np.array([[length, 0, 2]]), np.array([[context, 5, 70_000]])
    for drafter in (Eagle3.of(target), Flat.of(fraction=0.07)):
        ideal, neutral = Ideal(target, H200, drafter), Achieved(target, H200, drafter)
        assert neutral.other_seconds(batch, length, context) == ideal.other_seconds(batch, length, context)
        assert neutral.draft_seconds(batch, length, context, 0.01) == ideal.draft_seconds(batch, length, context, 0.01)
        assert (neutral.moe_seconds(tokens, many) == ideal.moe_seconds(tokens, many)).all()
        assert neutral.ragged_seconds(drafted + 1, seen) == ideal.ragged_seconds(drafted + 1, seen)
        assert neutral.ragged_draft_seconds(drafted, seen, 1.0) == ideal.ragged_draft_seconds(drafted, seen, 1.0)
        assert neutral.fits(batch, length, context) == ideal.fits(batch, length, context)


@pytest.mark.parametrize(("batch", "length", "context"), [(1, 0, 4096), (1, 3, 100), (9, 2, 3000), (300, 3, 1000)])
def test_a_step_equals_a_count_by_hand(batch: int, length: int, context: int) -> None:
    """gpt-oss-120b on an H200 with every term, operation by operation."""
    terms = {
        "bandwidth": 0.8, "expert_bandwidth": 0.7, "peak_bf16": 0.6, "peak_widened": 0.4, "unhidden": 0.3,
        "straggler": 0.01, "kv_reads": 0.25, "activations": 0.5, "expert_activations": 1.5, "step_seconds": 1e-3,
        "sequence_seconds": 1e-5, "drafted_step_seconds": 5e-4, "layer_seconds": 8e-6, "moe_layer_seconds": 2e-5,
        "pass_seconds": 2e-4, "eager_layer_seconds": 3e-5,
    }  # fmt: skip
    true, graph, distinct = batch * (length + 1), {1: 1, 4: 4, 27: 32, 1200: 1200}[batch * (length + 1)], 40

    def kernel(flops: float, moved: float, share: float = 0.8, peak: float = 0.6 * 989.5e12) -> float:
        return max(flops / peak, moved / (share * 4.8e12))

    def linear(rows: int, *widths: int) -> float:
        parameters, states = 2880 * sum(widths), rows * (2 * 2880 + sum(widths))
        return kernel(2 * rows * parameters, 2 * parameters) + 0.5 * 2 * states / (0.8 * 4.8e12)

    total = 36 * linear(graph, 64 * 64, 8 * 64, 8 * 64, 64 * 64) + 36 * linear(graph, 128) + linear(true, 201_088)
    for seen in (context, min(context, 128)):
        keys = seen * 2 * 8 * 64 * 2
        read = batch * keys + 0.25 * (true - batch) * keys
        total += 18 * kernel(4 * true * seen * 64 * 64, read)
    flops, reads = 2 * graph * 4 * 3 * 2880 * 2880, distinct + 0.01 * max(4 * graph - distinct, 0)
    states = 4 * graph * (2 * 2880 + 3 * 2880)
    times = sorted([flops / (0.4 * 989.5e12), reads * 3 * 2880 * 2880 * 17 / 32 / (0.7 * 4.8e12)])
    total += 36 * (times[1] * (1 + (times[0] / times[1]) ** (1 / 0.3)) ** 0.3)
    total += 36 * (1.5 * 2 * states / (0.7 * 4.8e12) + 2e-5)
    total += 1e-3 + batch * 1e-5 + (length > 0) * 5e-4 + 36 * 8e-6 + (true > 512) * 36 * 3e-5
    achieved = prices(**terms, largest_captured=512)
    found = achieved.other_seconds(batch, length, context) + 36 * achieved.moe_seconds(true, distinct)
    assert found == pytest.approx(total, rel=1e-12)


def test_drafting_pays_for_each_pass_and_a_flat_fraction_does_not() -> None:
    """Beside the fixed seconds, its kernels run at the achieved shares too: one device of half of everything."""
    half = replace(H200, bf16=H200.bf16 / 2, fp8=H200.fp8 / 2, bandwidth=H200.bandwidth / 2)
    achieved = prices(bandwidth=0.5, peak_bf16=0.5, peak_fp8=0.5, pass_seconds=3e-4)
    bare = Eagle3.of(OSS).seconds(half, 8, np.arange(4), 1000, 0)
    found = achieved.draft_seconds(8, np.arange(4), 1000, 0)
    np.testing.assert_allclose(found, bare + 3e-4 * np.arange(4), rtol=1e-12)
    ragged = achieved.ragged_draft_seconds([[3, 1], [0, 0]], [[1000, 1000], [9, 9]], 0)
    bare = Eagle3.of(OSS).ragged_seconds(half, [[3, 1], [0, 0]], [[1000, 1000], [9, 9]], 0)
    np.testing.assert_allclose(ragged, bare + np.array([9e-4, 0]), rtol=1e-12)
    assert prices(drafter=Flat.of(fraction=0.1), pass_seconds=1.0).draft_seconds(8, 3, 1000, 0.01) == 0.1 * 3 * 0.01


@pytest.mark.parametrize("name", ["gpt-oss-120b", "deepseek-v3", "deepseek-v4-flash", "qwen3.6-35b-a3b", "llama-3-8b"])
@given(batch=st.integers(1, 300), length=st.integers(0, 5), context=st.integers(1, 100_000))
def test_equal_sequences_cost_what_the_uniform_batch_costs(name, batch, length, context) -> None:
    achieved = prices(catalog.target(name), **COARSE, largest_captured=512)
    same = np.full((2, batch), length), np.full((2, batch), context)
    verify = [achieved.other_seconds(batch, length, context)] * 2
    np.testing.assert_allclose(achieved.ragged_seconds(same[0] + 1, same[1]), verify, rtol=1e-12)
    draft = [achieved.draft_seconds(batch, length, context, 1e-3)] * 2
    np.testing.assert_allclose(achieved.ragged_draft_seconds(*same, 1e-3), draft, rtol=1e-12)


@given(
    name=st.sampled_from(NAMES),
    batch=st.integers(1, 600),
    length=st.integers(1, 8),
    context=st.integers(1, 100_000),
    low=st.floats(0.05, 0.9),
    more=st.floats(0.01, 0.09),
)
def test_more_of_any_term_never_costs_less(name, batch, length, context, low, more) -> None:
    """Smaller shares, larger parts and seconds: a step never gets cheaper; and nothing is below the roofline."""
    scale = 1e-3 if name in SECONDS else 1.0
    values = [low * scale, (low + more) * scale]
    cheap, dear = values[::-1] if name in SHARES else values
    one, other = (whole(prices(**{name: v}, largest_captured=256), batch, length, context) for v in (cheap, dear))
    assert whole(Ideal(OSS, H200, Eagle3.of(OSS)), batch, length, context) <= one <= other


@given(batch=st.integers(1, 600), length=st.integers(0, 8), context=st.integers(1, 100_000))
def test_more_sequences_drafts_and_context_never_cost_less(batch, length, context) -> None:
    achieved = prices(**COARSE, largest_captured=512)
    here = whole(achieved, batch, length, context)
    assert here <= whole(achieved, batch + 1, length, context)
    assert here <= whole(achieved, batch, length + 1, context)
    assert here <= whole(achieved, batch, length, context + 1000)
    experts = achieved.moe_seconds(batch * (length + 1), np.arange(129))
    assert (np.diff(experts) >= 0).all()


def test_captured_sizes_are_those_of_vllm() -> None:
    """[1, 2, 4] + range(8, 256, 8) + range(256, largest + 1, 16): 35 + 16 up to 512."""
    sizes = captured(512)
    assert sizes[:5] == [1, 2, 4, 8, 16]
    assert sizes[33:36] == [248, 256, 272]
    assert (len(sizes), sizes[-1], captured(0), captured(6)) == (51, 512, [], [1, 2, 4])
    achieved = prices(largest_captured=512)
    tokens = np.array([1, 2, 3, 4, 5, 9, 249, 257, 500, 512, 513, 4000])
    np.testing.assert_array_equal(achieved.padded(tokens), [1, 2, 4, 4, 8, 16, 256, 272, 512, 512, 513, 4000])
    np.testing.assert_array_equal(prices(largest_captured=0).padded([1, 9]), [1, 9])


def test_the_eager_cliff_is_beyond_the_largest_graph() -> None:
    launched, layers = prices(largest_captured=8, eager_layer_seconds=1e-5), OSS.layers
    graphs = prices(largest_captured=8)
    tokens = np.array([1, 8, 9, 16])
    extra = launched.other_seconds(tokens, 0, 100) - graphs.other_seconds(tokens, 0, 100)
    np.testing.assert_allclose(extra, np.array([0, 0, 1, 1]) * layers * 1e-5, atol=1e-15)
    never = prices(largest_captured=0, eager_layer_seconds=1e-5)
    assert never.other_seconds(1, 0, 100) - graphs.other_seconds(1, 0, 100) == pytest.approx(layers * 1e-5)


def test_an_elasticity_does_not_see_padding_or_the_first_draft_as_jumps() -> None:
    """The ledger steps by a millionth of a token; at one token per sequence nothing jumps."""
    overlap = Overlap.uniform(128, 4)
    achieved = prices(**COARSE, largest_captured=512)
    for batch in (1, 8, 512, 513):
        found = closed.ledger(achieved, overlap, np.float64(batch), 4096)
        assert all(0 <= float(marginal.ratio) < 60 for marginal in found.values()), batch
        assert sum(float(m.share) for name, m in found.items() if name != "drafting") == pytest.approx(1)
    assert float(closed.ledger(prices(step_seconds=1e-3), overlap, np.float64(1), 4096)["fixed"].ratio) == 0


def test_one_call_prices_every_world_as_that_world_alone() -> None:
    rng = np.random.default_rng(3)
    worlds = [
        Terms.of(
            **{n: 1e-4 * rng.random() if n in SECONDS else 0.2 + 0.8 * rng.random() for n in NAMES},
            largest_captured=256,
        )
        for _ in range(5)
    ]
    batch, depth, context = np.ogrid[1:200:4j, 0:5, 1:9000:3j]
    many = Achieved(OSS, H200, Eagle3.of(OSS), Terms.stack(worlds, axes=3))
    alone = [Achieved(OSS, H200, Eagle3.of(OSS), one) for one in worlds]
    found = many.other_seconds(batch, depth, context)
    np.testing.assert_allclose(found, [one.other_seconds(batch, depth, context) for one in alone], rtol=1e-12)
    found = many.draft_seconds(batch, depth, context, found)
    np.testing.assert_allclose(
        found, [p.draft_seconds(batch, depth, context, p.other_seconds(batch, depth, context)) for p in alone]
    )
    tokens, distinct = (depth + 1)[0, :, :], np.arange(129)[None, :]
    flat = replace(many, terms=Terms.stack(worlds, axes=2))
    np.testing.assert_allclose(
        flat.moe_seconds(tokens, distinct), [p.moe_seconds(tokens, distinct) for p in alone], rtol=1e-12
    )
    queries, seen = np.array([[4, 1, 2], [1, 1, 1]]), np.array([[100, 9000, 400], [10, 10, 4000]])
    single = replace(many, terms=Terms.stack(worlds, axes=1))
    np.testing.assert_allclose(
        single.ragged_seconds(queries, seen), [p.ragged_seconds(queries, seen) for p in alone], rtol=1e-12
    )
    np.testing.assert_allclose(
        single.ragged_draft_seconds(queries - 1, seen, 0),
        [p.ragged_draft_seconds(queries - 1, seen, 0) for p in alone],
        rtol=1e-12,
    )


@given(st.floats(0, 1e15), st.floats(1, 1e12), st.floats(0, 1))
def test_what_is_unhidden_is_between_nothing_and_the_shorter_time(flops: float, moved: float, unhidden: float) -> None:
    work = Work(flops, moved)
    longer, both = max(flops / 1e15, moved / 1e12), flops / 1e15 + moved / 1e12
    found = float(seconds(work, 1e15, 1e12, unhidden))
    assert longer <= found <= both * (1 + 1e-12)
    assert float(seconds(work, 1e15, 1e12, 1.0)) == pytest.approx(both, rel=1e-12)
    assert float(seconds(Work(1e15, 1e12), 1e15, 1e12, unhidden)) == pytest.approx(2**unhidden, rel=1e-3)


def test_wrong_terms_are_refused_all_at_once() -> None:
    with pytest.raises(InputError, match=r"bandwidth is 0; .*unhidden is 2; .*step_seconds is -1; .*largest_captured"):
        Terms.of(bandwidth=0, unhidden=2, step_seconds=-1, largest_captured=-1)
    with pytest.raises(InputError, match="no terms of a price list: bandwith; allowed: bandwidth"):
        Terms.of(bandwith=0.5)
    assert wrong("bandwidth", float("nan"))
    assert wrong("step_seconds", True)
    assert wrong("bandwidth", 1.0) is None
