"""Ideal prices against counts by hand, published totals and limits that must hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import memory
from montecarlo.attention import Attention
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import Hardware
from montecarlo.roofline import Work, intensity, seconds
from montecarlo.target import Target
from studies import catalog

amounts = st.floats(1e3, 1e18)


@given(amounts, amounts, amounts, amounts, st.floats(1e12, 1e16), st.floats(1e11, 1e13))
def test_roofline_laws(a: float, b: float, c: float, d: float, peak: float, bandwidth: float) -> None:
    """The longer of two times; fused kernels cost at most the sum; more work is never faster; the ridge divides."""
    one, other = Work(a, b), Work(c, d)
    found = seconds(one, peak, bandwidth)
    assert found == max(a / peak, b / bandwidth)
    fused = seconds(one + other, peak, bandwidth)
    assert found <= fused <= (found + seconds(other, peak, bandwidth)) * (1 + 1e-12)
    assert seconds(Work(2 * a, 2 * b), peak, bandwidth) == pytest.approx(2 * found)
    assert seconds(one, 2 * peak, bandwidth) <= found
    if intensity(one) > 1.001 * peak / bandwidth:
        assert found == a / peak
    if intensity(one) < 0.999 * peak / bandwidth:
        assert found == b / bandwidth


@pytest.mark.parametrize(
    ("batch", "length", "context", "distinct"),
    [(1, 0, 4096, 4), (1, 3, 1024, 13), (16, 7, 100, 96), (64, 3, 16_384, 120), (512, 7, 65_536, 128)],
)
def test_ideal_step_equals_a_count_by_hand(batch: int, length: int, context: int, distinct: int) -> None:
    """gpt-oss-120b on an H200, operation by operation: 36 layers, half of them with a window of 128 tokens."""
    flops_per_s, bytes_per_s, tokens = 989.5e12, 4.8e12, batch * (length + 1)

    def kernel(flops: float, moved: float) -> float:
        return max(flops / flops_per_s, moved / bytes_per_s)

    query, key_value, output = 2880 * 64 * 64, 2 * 2880 * 8 * 64, 64 * 64 * 2880
    projections = query + key_value + output
    layer = kernel(2 * tokens * projections, 2 * projections)
    layer += kernel(2 * tokens * 2880 * 128, 2 * 2880 * 128)  # router
    expert = 3 * 2880 * 2880  # gate, up and down
    experts = kernel(2 * tokens * 4 * expert, distinct * expert * 17 / 32)  # MXFP4 weights, bf16 arithmetic
    total = 36 * (layer + experts) + kernel(2 * tokens * 2880 * 201_088, 2 * 2880 * 201_088)  # LM head
    for seen in (context, min(context, 128)):
        scores, values = 2 * tokens * seen * 64 * 64, 2 * tokens * seen * 64 * 64
        total += 18 * kernel(scores + values, batch * seen * 2 * 8 * 64 * 2)  # keys and values in bf16
    prices = Ideal(catalog.target("gpt-oss-120b"), catalog.hardware("h200-sxm"), Flat.of(fraction=0.0))
    found = prices.other_seconds(batch, length, context) + 36 * prices.moe_seconds(tokens, distinct)
    assert found == pytest.approx(total, rel=1e-12)


# Parameters, total and active (norms and biases left out), from the published configurations.
PARAMETERS = {
    "gpt-oss-20b": (20_907_786_240, 3_607_142_400),
    "gpt-oss-120b": (116_788_838_400, 5_131_100_160),
    "qwen3-30b-a3b": (30_531_911_680, 3_041_656_832),
    "qwen3-235b-a22b": (235_092_836_352, 21_567_635_456),
    "qwen2-57b-a14b": (57_408_225_280, 13_704_298_496),
    "mixtral-8x7b": (46_702_526_464, 12_748_587_008),
    "olmoe-1b-7b": (6_919_028_736, 1_178_861_568),
    "glm-4.5": (352_795_525_120, 32_854_016_000),
    "llama-3-70b": (70_552_387_584, 69_501_714_432),
    "llama-3-8b": (8_029_995_008, 7_504_658_432),
}


def test_every_built_target_has_its_published_parameters() -> None:
    found = {name: catalog.target(name).parameters() for name in PARAMETERS}
    assert found == PARAMETERS  # the others: tests/test_parameters.py


def test_every_device_of_the_catalogue_is_one() -> None:
    """Bandwidth-rich against arithmetic-rich: all ridges of dense bf16 lie between 50 and 1,000 FLOP/B."""
    devices = {name: catalog.hardware(name) for name in catalog.table("hardware")}
    assert all(50 < device.bf16 / device.bandwidth < 1000 for device in devices.values())
    ridges = {"b200-sxm": 281, "h100-sxm": 295, "h200-sxm": 206, "a100-80g-sxm": 153, "mi300x": 247}
    for name, ridge in ridges.items():
        assert devices[name].bf16 / devices[name].bandwidth == pytest.approx(ridge, abs=0.51)


def _target(ffn: Dense | MoE, attention: Attention | None = None) -> Target:
    kind = attention or Attention.of(heads=16, kv_heads=4, head_dim=64)
    return Target.of(hidden=1024, vocabulary=32_000, attention=((4, kind),), ffn=((4, ffn),))


H100 = Hardware.of(bf16=989.5e12, fp8=1979e12, fp4=None, bandwidth=3.35e12, memory=80e9)
SHAPES = st.tuples(st.integers(1, 2000), st.integers(0, 16), st.integers(1, 200_000))


@given(SHAPES)
def test_a_mixture_of_one_expert_is_dense(shape: tuple[int, int, int]) -> None:
    """E = top_k = 1: the same step, but for a router of one column."""
    batch, length, context = shape
    tokens, flat = batch * (length + 1), Flat.of(fraction=0.0)
    dense = Ideal(_target(Dense.of(intermediate=3000)), H100, flat)
    one = Ideal(_target(MoE.of(experts=1, top_k=1, intermediate=3000)), H100, flat)
    router = seconds(Work(2 * tokens * 1024, 2 * 1024), H100.bf16, H100.bandwidth)
    whole = one.other_seconds(batch, length, context) + 4 * (one.moe_seconds(tokens, 1) - router)
    assert whole == pytest.approx(float(dense.other_seconds(batch, length, context)), rel=1e-12)
    assert np.all(dense.moe_seconds(tokens, np.arange(3)) == 0)


def test_a_shared_expert_is_one_more_expert_that_every_token_uses() -> None:
    """Work of 8 + 1 shared of 64 equals 9 of 65 where the shared one is always among the distinct ones."""
    shared = MoE.of(experts=64, top_k=8, intermediate=512, shared_intermediate=512)
    plain = MoE.of(experts=65, top_k=9, intermediate=512)
    tokens, distinct = np.array([1, 10, 1000]), np.array([8, 50, 64])
    one, other = shared.work(1024, tokens, distinct, 2.0), plain.work(1024, tokens, distinct + 1, 2.0)
    np.testing.assert_array_equal(one.flops, other.flops)
    np.testing.assert_array_equal(one.bytes, other.bytes)


def test_one_group_per_head_is_multi_head_attention() -> None:
    """Four H x H projections; K and V of H elements each per token; grouping divides only keys and values."""
    full = Attention.of(heads=16, kv_heads=16, head_dim=64)
    grouped = Attention.of(heads=16, kv_heads=2, head_dim=64)
    assert full.parameters(1024) == 4 * 1024 * 1024
    assert full.kv_elements() == 2 * 1024
    assert full.kv_elements() == 8 * grouped.kv_elements()
    one, eight = (kind.kernels(4, 3, 1000, 2.0)[0][0] for kind in (full, grouped))
    assert one.flops == eight.flops == 4 * 16 * 64 * 4 * 3 * 1000
    assert one.bytes == 8 * eight.bytes == 4 * 1000 * 2 * 1024 * 2
    window = Attention.of(heads=16, kv_heads=2, head_dim=64, window=128)
    np.testing.assert_array_equal(window.attended([50, 128, 5000]), [50, 128, 128])


def test_memory_bound_steps_cost_bytes_and_compute_bound_ones_flops() -> None:
    """With endless arithmetic a verify costs what one token costs; with endless bandwidth it costs per token."""
    target = catalog.target("gpt-oss-20b")
    limits = {"bf16": 1e12, "bandwidth": 1e12, "fp8": None, "fp4": None, "memory": 1e12}
    reads = Ideal(target, Hardware.of(**{**limits, "bf16": 1e30}), Flat.of(fraction=0.0))
    lengths = np.arange(9)
    np.testing.assert_allclose(np.diff(reads.other_seconds(8, lengths, 1000)), 0, atol=1e-12)
    distinct = np.arange(1, 17)
    np.testing.assert_allclose(reads.moe_seconds(1e3, 2 * distinct), 2 * reads.moe_seconds(1, distinct))
    counts = Ideal(target, Hardware.of(**{**limits, "bandwidth": 1e30}), Flat.of(fraction=0.0))
    one = counts.other_seconds(1, 0, 1000)
    np.testing.assert_allclose(counts.other_seconds(8, lengths, 1000), 8 * (lengths + 1) * one)
    np.testing.assert_allclose(counts.moe_seconds(7, np.arange(33)), 7 * counts.moe_seconds(1, 32))
    assert 24 * counts.moe_seconds(1, 4) + one == pytest.approx(
        (2 * target.parameters()[1] + 24 * 4 * 64 * 64 * (1000 + 128) / 2) / 1e12
    )


@given(SHAPES)
def test_eagle3_costs_nothing_without_drafts_and_more_with_each(shape: tuple[int, int, int]) -> None:
    batch, _, context = shape
    target = catalog.target("gpt-oss-120b")
    found = Eagle3.of(target).seconds(H100, batch, np.arange(17), context, 1.0)
    assert found[0] == 0
    assert np.all(np.diff(found) > 0)
    head = seconds(Work(2 * batch * 2880 * 201_088, 2 * 2880 * 201_088), H100.bf16, H100.bandwidth)
    assert np.all(np.diff(found) > head)  # each pass runs the target's whole LM head


def test_eagle3_equals_a_count_by_hand() -> None:
    """gpt-oss-120b on an H100, batch 1, context 1000, two drafts: everything reads weights and keys once a pass."""
    attention = (2 * 2880) * 64 * (64 + 2 * 8) + 64 * 64 * 2880
    layer = attention + 3 * 2880 * (4 * 2880)
    weights = 2 * layer + 2 * 2880 * 201_088
    keys = 1000 * 2 * 8 * 64 * 2
    moved = 2 * (weights + keys) + 2 * 3 * 2880 * 2880
    found = Eagle3.of(catalog.target("gpt-oss-120b")).seconds(H100, 1, 2, 1000, 0.0)
    assert found == pytest.approx(moved / 3.35e12, rel=1e-12)


@given(st.floats(0, 0.5), SHAPES)
def test_a_flat_drafter_costs_its_fraction_of_a_step_per_draft(fraction: float, shape: tuple[int, int, int]) -> None:
    batch, length, context = shape
    found = Flat.of(fraction=fraction).seconds(H100, batch, length, context, 0.02)
    assert found == pytest.approx(fraction * length * 0.02)


@given(SHAPES, SHAPES)
def test_what_fits_also_fits_with_less(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    target = catalog.target("gpt-oss-20b")
    small, large = np.minimum(one, other), np.maximum(one, other)
    given = (target, Eagle3.of(target), H100)
    fits = [memory.fits(*given, shape[0], shape[2], shape[1]) for shape in (small, large)]
    assert fits[0] or not fits[1]


def test_fits_is_weights_and_keys_against_memory() -> None:
    """gpt-oss-120b: 36 x 128 experts of 3 x 2880^2 in MXFP4, the rest in bf16; KV of 18 full and 18 window layers."""
    target, free = catalog.target("gpt-oss-120b"), Flat.of(fraction=0.0)
    experts = 36 * 128 * 3 * 2880**2
    weights = experts * 17 / 32 + (116_788_838_400 - experts) * 2
    assert memory.weight_bytes(target) == pytest.approx(weights, rel=1e-12)
    assert memory.kv_bytes(target, 4096) == 18 * (4096 + 128) * 2 * 8 * 64 * 2
    for length, drafter in ((0, free), (3, free), (3, Eagle3.of(target))):
        per_sequence = 18 * (4096 + length + 1 + 128) * 2048 + (4096 + length + 1) * 2048 * (drafter != free)
        needed = weights + drafter.weight_bytes() + 7 * per_sequence
        for memory_bytes, fits in ((needed + 1, True), (needed - 1, False)):
            device = replace(H100, memory=memory_bytes)
            assert bool(memory.fits(target, drafter, device, 7, 4096, length)) is fits
    undrafted = replace(H100, memory=weights + 7 * 18 * (4097 + 128) * 2048 + 1)
    fits = memory.fits(target, Eagle3.of(target), undrafted, 7, 4096, np.array([0, 1]))
    np.testing.assert_array_equal(fits, [True, False])  # the drafter counts where it drafts


def test_a_format_without_units_computes_in_bf16() -> None:
    for name, stored, flops in [
        ("h200-sxm", "mxfp4", 989.5e12),
        ("h200-sxm", "fp8", 1979e12),
        ("b200-sxm", "mxfp4", 9000e12),
        ("a100-80g-sxm", "fp8", 312e12),
        ("a100-80g-sxm", "bf16", 312e12),
    ]:
        assert catalog.hardware(name).peak(stored) == flops


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hardware.of(bf16=0, fp8=None, fp4=None, bandwidth=1, memory=1), "hardware bf16 is 0"),
        (lambda: Hardware.of(bf16=1, fp8=None, fp4=None, bandwidth=-1, memory=1), "bandwidth is -1"),
        (lambda: Hardware.of(bf16=1, fp8=None, fp4=None, bandwidth=1, memory=np.inf), "memory is inf"),
        (lambda: Hardware.of(bf16=1, fp8=-2.0, fp4=None, bandwidth=1, memory=1), "fp8 is -2"),
        (lambda: Flat.of(fraction=-0.1), "drafter fraction is -0.1"),
        (lambda: Flat.of(fraction=np.nan), "drafter fraction is nan"),
        (lambda: MoE.of(experts=8, top_k=9, intermediate=1), "top_k is 9 of 8 experts"),
        (lambda: MoE.of(experts=8, top_k=2, intermediate=0), "expert intermediate size is 0"),
        (lambda: Dense.of(intermediate=0), "dense intermediate size is 0"),
        (lambda: Attention.of(heads=6, kv_heads=4, head_dim=8), "heads must be a multiple of kv_heads"),
        (lambda: Attention.of(heads=0, kv_heads=1, head_dim=8), "at least 1"),
        (
            lambda: Target.of(
                hidden=8,
                vocabulary=8,
                attention=((2, Attention.of(heads=1, kv_heads=1, head_dim=8)),),
                ffn=((3, Dense.of(intermediate=8)),),
            ),
            "2 attention and 3 feed-forward layers",
        ),
    ],
)
def test_faults_are_named(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(InputError, match=message):
        build()
