"""Number formats: what is stored, what it is computed in, and the keys that change them."""

import numpy as np
import pytest

from montecarlo import memory
from montecarlo.attention import Attention
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.ffn import MoE
from montecarlo.hardware import BYTES, Hardware
from montecarlo.target import Target
from studies import choices, config

B200 = Hardware.of(bf16=2250e12, fp8=4500e12, fp4=9000e12, bandwidth=8e12, memory=192e9)
H200 = Hardware.of(bf16=989.5e12, fp8=1979e12, fp4=None, bandwidth=4.8e12, memory=141e9)
A100 = Hardware.of(bf16=312e12, fp8=None, fp4=None, bandwidth=2.039e12, memory=80e9)
SMALL = Target.of(
    hidden=512,
    vocabulary=1000,
    attention=((2, Attention.of(heads=8, kv_heads=2, head_dim=64)),),
    ffn=((2, MoE.of(experts=4, top_k=1, intermediate=256)),),
)
EXPERT = 3 * 512 * 256


def test_bytes_are_those_of_a_block_with_its_scales():
    for name, bits, scale_bits, block in (("mxfp4", 4, 8, 32), ("nvfp4", 4, 8, 16), ("int4", 4, 16, 32)):
        assert BYTES[name] == (block * bits + scale_bits) / 8 / block


@pytest.mark.parametrize(
    ("device", "stored", "activations", "peak"),
    [
        (B200, "mxfp4", None, 9000e12),
        (B200, "mxfp4", "fp8", 4500e12),
        (B200, "mxfp4", "bf16", 2250e12),
        (B200, "nvfp4", None, 9000e12),
        (B200, "int4", None, 2250e12),
        (B200, "int4", "fp8", 4500e12),
        (B200, "bf16", "fp8", 2250e12),
        (B200, "fp8", "mxfp4", 4500e12),
        (H200, "mxfp4", None, 989.5e12),
        (H200, "mxfp4", "fp8", 1979e12),
        (A100, "fp8", None, 312e12),
        (A100, "mxfp4", "fp8", 312e12),
    ],
)
def test_a_product_runs_in_the_wider_of_the_two(device, stored, activations, peak):
    assert device.peak(stored, activations) == peak


@pytest.mark.parametrize("stored", BYTES)
def test_experts_are_read_and_computed_as_stored(stored):
    target = SMALL.with_formats(expert_format=stored, activation_format="fp8")
    prices = Ideal(target, B200, Flat.of(fraction=0.0))
    assert prices.moe_seconds(1, 3) == pytest.approx(3 * EXPERT * BYTES[stored] / 8e12)
    rate = 2250e12 if stored == "bf16" else 4500e12
    assert prices.moe_seconds(10**6, 3) == pytest.approx(10**6 * 2 * EXPERT / rate)


def test_each_format_moves_its_own_bytes():
    """Embedding, head, projections and router as weights; experts as experts; KV as KV."""
    weights, experts = 2 * 512 * 1000 + 2 * (64 * 512 * (8 + 2 + 2 + 8) + 512 * 4), 2 * 4 * EXPERT
    assert memory.weight_bytes(SMALL) == 2 * (weights + experts)
    assert memory.weight_bytes(SMALL.with_formats(weight_format="fp8")) == weights + 2 * experts
    assert memory.weight_bytes(SMALL.with_formats(expert_format="int4")) == 2 * weights + 9 / 16 * experts
    assert memory.kv_bytes(SMALL.with_formats(kv_format="fp8"), 100) == memory.kv_bytes(SMALL, 100) / 2 == 100 * 512
    assert SMALL.with_formats() == SMALL


def test_the_drafter_is_stored_as_asked_and_its_head_as_the_targets():
    own, fp8 = Eagle3.of(SMALL), Eagle3.of(SMALL, "fp8")
    assert fp8.weight_bytes() == own.weight_bytes() / 2
    layer = own.layer_parameters() + own.fusion_parameters()
    saved = own.seconds(B200, 1, 1, 0, 0) - fp8.seconds(B200, 1, 1, 0, 0)
    assert saved == pytest.approx(layer / 8e12)  # one byte per weight of its own; the head is not its own


def _priced(**keys):
    return choices.priced(config.Scenario(**({"drafter": "free", "prices": "ideal"} | keys)), []).prices


@pytest.mark.parametrize("name", ["weight_format", "expert_format", "kv_format", "activation_format"])
def test_keys_reach_the_prices(name):
    notes: list[str] = []
    given = config.Scenario(target="deepseek-v4-flash", drafter="free", prices="ideal", **{name: "bf16"})
    prices = choices.priced(given, notes).prices
    assert isinstance(prices, Ideal)
    assert getattr(prices.target, name) == "bf16"
    assert f"{name} bf16" in " ".join(notes)
    plain = _priced(target="deepseek-v4-flash")
    dearer = [
        p.other_seconds(64, 3, 8192) + 43 * p.moe_seconds(256, 200) for p in (prices, plain) if isinstance(p, Ideal)
    ]
    assert np.greater_equal(*dearer)


def test_the_rollback_reaches_the_prices():
    states, replay = (_priced(target="qwen3.6-35b-a3b", rollback=way) for way in ("states", "replay"))
    saved = states.other_seconds(1, 3, 4096) - replay.other_seconds(1, 3, 4096)
    kept = 2 * (16 * 128 + 32 * (128 + 2))
    assert saved == pytest.approx(30 * (3 * 1_114_112 - 3 * 2 * kept) / 4.8e12)


def test_spread_and_form_reach_their_layers_only():
    spread = _priced(target="deepseek-v4-flash", index_spread=0.5)
    assert [(kind.ratio, kind.index_spread) for _, kind in spread.target.attention] == [(0, 0), (4, 0.5), (128, 0)]
    expanded = _priced(target="deepseek-v3", mla_form="mha")
    assert [kind.form for _, kind in expanded.target.attention] == ["mha"]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"weight_format": "fp6"}, "weight_format is 'fp6'"),
        ({"drafter_format": "fp6", "drafter": "eagle-3"}, "drafter_format is 'fp6'"),
        ({"drafter_format": "fp8", "drafter": "free"}, "no weights to store"),
        ({"expert_format": "fp8", "target": "llama-3-8b"}, "no experts"),
        ({"rollback": "replay"}, "no linear-attention layers"),
        ({"rollback": "undo", "target": "qwen3.6-35b-a3b"}, "states, replay"),
        ({"index_spread": 0.5, "target": "deepseek-v3"}, "no indexed"),
        ({"index_spread": 2.0, "target": "deepseek-v4-pro"}, "between 0 and 1"),
        ({"mla_form": "mha"}, "no MLA layers"),
        ({"mla_form": "fast", "target": "kimi-k2"}, "absorbed, mha"),
        ({"prices": "post", "kv_format": "fp8", "target": "deepseek-v4-flash", "hardware": "b200-sxm"}, "leave out"),
    ],
)
def test_formats_that_mean_nothing_are_refused(keys, fault):
    with pytest.raises(InputError, match=fault):
        choices.priced(config.Scenario(**({"target": "gpt-oss-20b", "drafter": "free"} | keys)), [])
