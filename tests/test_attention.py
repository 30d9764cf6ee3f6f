"""Grouped-query and linear attention, against counts made operation by operation."""

import numpy as np
import pytest

from montecarlo.attention import Attention
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.errors import InputError
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import Hardware
from montecarlo.linear import GatedDeltaNet
from montecarlo.roofline import intensity
from montecarlo.target import Target

B200 = Hardware.of(bf16=2250e12, fp8=4500e12, fp4=9000e12, bandwidth=8e12, memory=192e9)
QWEN = GatedDeltaNet.of(key_heads=16, value_heads=32, key_dim=128, value_dim=128, conv=4)


def matmul(rows: int, inner: int, columns: int) -> int:
    """FLOP of a matrix product: a product and a sum for each of its terms."""
    return 2 * rows * inner * columns


def counted_core(heads: int, groups: int, width: int, queries: int, seen: int) -> tuple[int, int]:
    """FLOP and KV elements of one sequence's attention, head by head and group by group."""
    flops = sum(matmul(queries, width, seen) + matmul(queries, seen, width) for _ in range(heads))
    elements = sum(seen * width + seen * width for _ in range(groups))
    return flops, elements


@pytest.mark.parametrize(("heads", "groups", "width"), [(64, 8, 64), (32, 4, 128), (16, 16, 128), (5, 1, 3)])
@pytest.mark.parametrize(("window", "context"), [(0, 1000), (128, 1000), (128, 100)])
def test_gqa_core_is_the_count_of_its_products(heads, groups, width, window, context):
    attention = Attention.of(heads=heads, kv_heads=groups, head_dim=width, window=window)
    ((core, arithmetic),) = attention.kernels(3, 2, context, 2.0)
    flops, elements = counted_core(heads, groups, width, 2, min(context, window) if window else context)
    assert (core.flops, core.bytes, arithmetic) == (3 * flops, 3 * elements * 2.0, "bf16")
    assert attention.held_bytes(context, 2, 2.0) == elements * 2.0


def test_gqa_weights_are_those_of_its_matrices():
    query, key, value, out, gate = 512 * 96, 512 * 24, 512 * 24, 96 * 512, 512 * 96
    attention = Attention.of(heads=8, kv_heads=2, head_dim=12)
    gated = Attention.of(heads=8, kv_heads=2, head_dim=12, gated=True)
    assert attention.parameters(512) == query + key + value + out
    assert gated.parameters(512) == query + key + value + out + gate
    # an EAGLE-3 layer reads 2H wide and writes H wide
    assert attention.parameters(512, 1024) == 2 * (query + key + value) + out


def test_as_many_groups_as_heads_is_mha():
    """MHA: every head has keys and values of its own, so intensity is the number of queries over bytes per element."""
    mha = Attention.of(heads=16, kv_heads=16, head_dim=128)
    ((core, _),) = mha.kernels(1, 7, 4096, 2.0)
    assert intensity(core) == pytest.approx(4 * 7 / (2 * 2.0))
    assert mha.parameters(2048) == 4 * 2048 * 2048


@pytest.mark.parametrize(("heads", "groups", "constant"), [(64, 8, 8.0), (32, 8, 4.0), (16, 16, 1.0), (96, 8, 12.0)])
def test_intensity_constant_of_gqa(heads, groups, constant):
    """2 n_h / (n_kv b_kv) per query token with a bf16 cache; fp8 doubles it (the post: "something like 8T")."""
    attention = Attention.of(heads=heads, kv_heads=groups, head_dim=128)
    for queries in (1, 3):
        ((bf16, _),), ((fp8, _),) = (attention.kernels(5, queries, 9999, width) for width in (2.0, 1.0))
        assert intensity(bf16) == pytest.approx(constant * queries)
        assert intensity(fp8) == pytest.approx(2 * constant * queries)


def test_one_expert_is_a_dense_layer():
    """E = top_k = 1 without shared experts costs what a dense layer of that width does, router apart."""
    attention = ((1, Attention.of(heads=8, kv_heads=2, head_dim=64)),)

    def ideal(ffn):
        target = Target.of(hidden=512, vocabulary=1000, attention=attention, ffn=((1, ffn),))
        return Ideal(target, B200, Flat.of(fraction=0.0))

    dense = ideal(Dense.of(intermediate=2048))
    mixture = ideal(MoE.of(experts=1, top_k=1, intermediate=2048))
    for tokens in (1, 64, 100_000):
        router = max(2 * 512 * tokens / 2250e12, 2 * 512 / 8e12)
        as_moe = mixture.other_seconds(tokens, 0, 100) + mixture.moe_seconds(tokens, 1)
        assert as_moe - router == pytest.approx(dense.other_seconds(tokens, 0, 100), rel=1e-12)


def test_batch_and_context_to_infinity():
    """Work per sequence does not depend on the batch; per token of context it tends to a constant."""
    attention = Attention.of(heads=64, kv_heads=8, head_dim=64)
    ((one, _),), ((many, _),) = attention.kernels(1, 2, 4096, 2.0), attention.kernels(10**6, 2, 4096, 2.0)
    assert np.divide(many.flops, one.flops) == 10**6
    assert np.divide(many.bytes, one.bytes) == 10**6
    windowed = Attention.of(heads=64, kv_heads=8, head_dim=64, window=128)
    ((at_128, _),), ((endless, _),) = windowed.kernels(1, 1, 128, 2.0), windowed.kernels(1, 1, 10**12, 2.0)
    assert (endless.flops, endless.bytes) == (at_128.flops, at_128.bytes)


def counted_recurrence(heads: int, keys: int, values: int) -> tuple[int, int]:
    """(update, read-out) FLOP of one token of a gated delta net, element by element of each head's state."""
    update = read_out = 0
    for _ in range(heads):
        for _ in range(values):
            for _ in range(keys):
                update += 1  # S <- g S
                update += 2  # (S k): product and sum
                update += 2  # S <- S + u k': product and sum
                read_out += 2  # S q: product and sum
    return update, read_out


@pytest.mark.parametrize("queries", [1, 2, 5])
@pytest.mark.parametrize("rollback", ["states", "replay"])
def test_delta_net_is_the_count_of_its_recurrence(queries, rollback):
    net = GatedDeltaNet.of(key_heads=2, value_heads=4, key_dim=6, value_dim=10, conv=4, rollback=rollback)
    state = 2 * (4 * 6 * 10 + 4 * (2 * 6 + 2 * 6 + 4 * 10))
    kept = 2 * (2 * 6 + 4 * 10 + 4 + 4)
    update, read_out = counted_recurrence(4, 6, 10)
    flops, moved = 0, state  # the state is read once
    for position in range(queries):
        flops += update + read_out
        if rollback == "states":
            moved += state  # one state is written after every position
        elif position == 0:
            moved += state  # the last emitted token stays: its state is written
        else:
            moved += 2 * kept  # a draft's inputs are written, and read when it is applied again
            flops += update
    ((work, arithmetic),) = net.kernels(3, queries, 4096, 2.0)
    assert (work.flops, work.bytes, arithmetic) == (3 * flops, 3 * moved, "bf16")
    held = queries * state if rollback == "states" else state + (queries - 1) * kept
    assert net.held_bytes(4096, queries, 2.0) == held


def test_state_of_qwen36():
    """1,114,112 B a layer: 32 x 128 x 128 and a convolution of 4 over 8,192 channels, bf16 (inference-lab)."""
    assert QWEN.state() == 1_114_112
    for context in (1, 10**6):
        assert QWEN.held_bytes(context, 1, 2.0) == 1_114_112


def test_rollback_matters_to_first_order():
    """A verify of 4 moves 5 states, or 2 and what replays 3 drafts; undrafted decoding is the same either way."""
    replay = GatedDeltaNet.of(key_heads=16, value_heads=32, key_dim=128, value_dim=128, conv=4, rollback="replay")
    (states_1, _), (replay_1, _) = QWEN.kernels(1, 1, 1, 2.0)[0], replay.kernels(1, 1, 1, 2.0)[0]
    assert (states_1.flops, states_1.bytes) == (replay_1.flops, replay_1.bytes)
    (states_4, _), (replay_4, _) = QWEN.kernels(1, 4, 1, 2.0)[0], replay.kernels(1, 4, 1, 2.0)[0]
    assert states_4.bytes == 5 * 1_114_112
    assert 2 < replay_4.bytes / 1_114_112 < 2.1


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (lambda: Attention.of(heads=6, kv_heads=4, head_dim=64), "multiple of kv_heads"),
        (lambda: GatedDeltaNet.of(key_heads=3, value_heads=4, key_dim=1, value_dim=1), "multiple of key_heads"),
        (lambda: GatedDeltaNet.of(key_heads=2, value_heads=4, key_dim=0, value_dim=1), "at least 1"),
        (lambda: GatedDeltaNet.of(key_heads=2, value_heads=4, key_dim=1, value_dim=1, state_bytes=0), "positive"),
        (lambda: GatedDeltaNet.of(key_heads=2, value_heads=4, key_dim=1, value_dim=1, rollback="no"), "states, replay"),
        (lambda: MoE.of(experts=8, top_k=4, intermediate=8, groups=4, top_groups=1), "hold top_k"),
        (lambda: MoE.of(experts=8, top_k=1, intermediate=8, groups=3), "divide the experts"),
        (lambda: MoE.of(experts=8, top_k=1, intermediate=8, hash_layers=-1), "hash_layers"),
    ],
)
def test_what_cannot_be_is_refused(kind, fault):
    with pytest.raises(InputError, match=fault):
        kind()


def test_more_hash_layers_than_layers_are_refused():
    mixture = MoE.of(experts=8, top_k=1, intermediate=8, hash_layers=3)
    attention = ((2, Attention.of(heads=8, kv_heads=2, head_dim=64)),)
    with pytest.raises(InputError, match="3 hash_layers of 2"):
        Target.of(hidden=512, vocabulary=1000, attention=attention, ffn=((2, mixture),))
