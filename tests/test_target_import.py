"""Importing Hugging Face configs: the catalogue's facts, as the fields of each family, give its targets back."""

import json
import sys

import pytest

from montecarlo.errors import InputError
from montecarlo.linear import GatedDeltaNet
from studies import catalog, cli, import_target

V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "vocab_size": 129_280,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "intermediate_size": 18_432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "num_nextn_predict_layers": 1,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}
K2 = V3 | {
    "model_type": "kimi_k2",
    "vocab_size": 163_840,
    "num_attention_heads": 64,
    "first_k_dense_replace": 1,
    "n_routed_experts": 384,
    "n_group": 1,
    "topk_group": 1,
    "num_nextn_predict_layers": 0,
}
V4_FLASH = {
    "model_type": "deepseek_v4",
    "hidden_size": 4096,
    "vocab_size": 129_280,
    "num_hidden_layers": 43,
    "num_attention_heads": 64,
    "num_key_value_heads": 1,
    "head_dim": 512,
    "qk_rope_head_dim": 64,
    "q_lora_rank": 1024,
    "o_lora_rank": 1024,
    "o_groups": 8,
    "compress_ratios": [0, 0, *[4, 128] * 20, 4, 0],
    "sliding_window": 128,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 512,
    "num_hash_layers": 3,
    "num_nextn_predict_layers": 1,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 6,
    "expert_dtype": "fp4",
}
V4_PRO = V4_FLASH | {
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "q_lora_rank": 1536,
    "o_groups": 16,
    "compress_ratios": [128, 128, *[4, 128] * 29, 4, 0],
    "index_topk": 1024,
    "moe_intermediate_size": 3072,
    "n_routed_experts": 384,
}


def gqa(model_type: str, hidden: int, vocabulary: int, layers: int, heads: int, groups: int, **more) -> dict:
    names = ("model_type", "hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads")
    fields = dict(zip(names, (model_type, hidden, vocabulary, layers, heads), strict=True))
    return fields | {"num_key_value_heads": groups, "sliding_window": None} | more


OSS = {"head_dim": 64, "intermediate_size": 2880, "num_experts_per_tok": 4, "sliding_window": 128}
OSS |= {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}
QWEN3 = {"head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": []}
QWEN36_TEXT = gqa(
    "qwen3_5_moe_text",
    2048,
    248_320,
    40,
    16,
    2,
    head_dim=256,
    num_experts=256,
    num_experts_per_tok=8,
    moe_intermediate_size=512,
    shared_expert_intermediate_size=512,
    layer_types=[*["linear_attention"] * 3, "full_attention"] * 10,
    linear_num_key_heads=16,
    linear_num_value_heads=32,
    linear_key_head_dim=128,
    linear_value_head_dim=128,
    linear_conv_kernel_dim=4,
    attn_output_gate=False,
)
CONFIGS = {
    "deepseek-v3": V3,
    "deepseek-r1": V3,
    "kimi-k2": K2,
    "deepseek-v4-flash": V4_FLASH,
    "deepseek-v4-pro": V4_PRO,
    "gpt-oss-20b": gqa("gpt_oss", 2880, 201_088, 24, 64, 8, num_local_experts=32, **OSS),
    "gpt-oss-120b": gqa(
        "gpt_oss",
        2880,
        201_088,
        36,
        64,
        8,
        num_local_experts=128,
        layer_types=["sliding_attention", "full_attention"] * 18,
        **OSS,
    ),
    "qwen3-30b-a3b": gqa("qwen3_moe", 2048, 151_936, 48, 32, 4, moe_intermediate_size=768, **QWEN3),
    "qwen3-235b-a22b": gqa("qwen3_moe", 4096, 151_936, 94, 64, 4, moe_intermediate_size=1536, **QWEN3),
    "qwen2-57b-a14b": gqa(
        "qwen2_moe",
        3584,
        151_936,
        28,
        28,
        4,
        num_experts=64,
        num_experts_per_tok=8,
        moe_intermediate_size=2560,
        shared_expert_intermediate_size=20_480,
        intermediate_size=18_944,
        use_sliding_window=False,
    ),
    "mixtral-8x7b": gqa(
        "mixtral", 4096, 32_000, 32, 32, 8, num_local_experts=8, num_experts_per_tok=2, intermediate_size=14_336
    ),
    "olmoe-1b-7b": gqa(
        "olmoe", 2048, 50_304, 16, 16, 16, num_experts=64, num_experts_per_tok=8, intermediate_size=1024
    ),
    "glm-4.5": gqa(
        "glm4_moe",
        5120,
        151_552,
        92,
        96,
        8,
        head_dim=128,
        n_routed_experts=160,
        n_shared_experts=1,
        num_experts_per_tok=8,
        n_group=1,
        topk_group=1,
        moe_intermediate_size=1536,
        intermediate_size=12_288,
        first_k_dense_replace=3,
        num_nextn_predict_layers=1,
    ),
    "llama-3-70b": gqa("llama", 8192, 128_256, 80, 64, 8, intermediate_size=28_672),
    "llama-3-8b": gqa("llama", 4096, 128_256, 32, 32, 8, intermediate_size=14_336),
    "qwen3.6-35b-a3b": {"model_type": "qwen3_5_moe", "vision_config": {"depth": 27}, "text_config": QWEN36_TEXT},
}


def draftodds(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["draftodds", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_every_target_of_the_catalogue_can_be_imported():
    assert set(CONFIGS) == set(catalog.table("targets"))


@pytest.mark.parametrize("name", CONFIGS)
def test_an_import_is_the_catalogues_target(name):
    entry, assumed = import_target.convert(CONFIGS[name])
    imported, listed = catalog.build(entry, name), catalog.target(name)
    assert imported.parameters() == listed.parameters()
    assert set(imported.attention) == set(listed.attention)
    assert set(imported.ffn) == set(listed.ffn)
    formats = ("weight_format", "kv_format", "hidden", "vocabulary")
    assert [getattr(imported, key) for key in formats] == [getattr(listed, key) for key in formats]
    assert imported.moe is None or imported.expert_format == listed.expert_format
    assert any("Stored: weights" in sentence for sentence in assumed)


def test_totals_counted_from_the_fields():
    """Llama-3-8B: its nine kinds of matrix, straight from the configuration."""
    hidden, wide, groups, vocabulary = 4096, 14_336, 8 * 128, 128_256
    layer = 2 * hidden * hidden + 2 * hidden * groups + 3 * hidden * wide
    entry, _ = import_target.convert(CONFIGS["llama-3-8b"])
    assert catalog.build(entry, "").parameters()[0] == 32 * layer + 2 * hidden * vocabulary


def test_the_command_writes_a_target_and_says_what_it_assumed(tmp_path, monkeypatch, capsys):
    source, out = tmp_path / "config.json", tmp_path / "made" / "mine.toml"
    source.write_text(json.dumps(V4_FLASH), "utf-8")
    assert draftodds(monkeypatch, "target", "import", str(source), "--out", str(out)) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    for words in ("284.3 billion", "index_spread = 0", "by affinity", "multi-token-prediction", "KV fp8", "0.75"):
        assert words in shown
    assert catalog.target(str(out)) == catalog.target("deepseek-v4-flash")
    assert "index_spread = 0" in out.read_text("utf-8")
    before = out.read_bytes()
    assert draftodds(monkeypatch, "target", "import", str(source), "--out", str(out)) == 2
    assert "left as it is" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("content", "out", "fault"),
    [
        ('{"model_type": "gpt2"}', "t.toml", "model_type 'gpt2' cannot be imported; allowed: llama,"),
        ("{}", "t.toml", "model_type None"),
        ("[1", "t.toml", "cannot be read"),
        ("[1]", "t.toml", "no JSON object"),
        (json.dumps(V3 | {"kv_lora_rank": None}), "t.toml", "kv_lora_rank is missing"),
        (json.dumps(V3 | {"kv_lora_rank": "512"}), "t.toml", "no whole number"),
        (json.dumps(V3 | {"num_experts_per_tok": 300}), "t.toml", "between 1 and the number of experts"),
        (json.dumps(V4_FLASH | {"compress_ratios": [4]}), "t.toml", "lists 1 of 43"),
        (json.dumps(V4_FLASH | {"compress_ratios": [[4]] * 43}), "t.toml", "whole numbers"),
        (json.dumps(CONFIGS["llama-3-8b"] | {"layer_types": ["chunked"] * 32}), "t.toml", "'chunked'"),
        (json.dumps(V3), "t.json", "ends in .toml"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(tmp_path, monkeypatch, capsys, content, out, fault):
    source = tmp_path / "config.json"
    source.write_text(content, "utf-8")
    assert draftodds(monkeypatch, "target", "import", str(source), "--out", str(tmp_path / out)) == 2
    error = capsys.readouterr().err
    assert fault in error
    assert error.count("\n") == 1
    assert not (tmp_path / out).exists()


def test_a_missing_config_and_a_missing_command_are_refused(tmp_path, monkeypatch, capsys):
    gone, out = str(tmp_path / "no.json"), str(tmp_path / "t.toml")
    assert draftodds(monkeypatch, "target", "import", gone, "--out", out) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert draftodds(monkeypatch, "target") == 2
    assert capsys.readouterr().err.startswith("draftodds: Missing command")


def test_gates_states_and_groups_are_read():
    text = QWEN36_TEXT | {"attn_output_gate": True, "mamba_ssm_dtype": "float32", "layer_types": None}
    entry, assumed = import_target.convert({"model_type": "qwen3_5_moe", "text_config": text})
    target = catalog.build(entry, "")
    gate = 10 * 2048 * 16 * 256
    assert target.parameters()[0] == catalog.target("qwen3.6-35b-a3b").parameters()[0] + gate
    states = [kind.state_bytes for _, kind in target.attention if isinstance(kind, GatedDeltaNet)]
    assert states == [4.0]
    assert "full_attention_interval is not given: 4." in assumed
    moe = catalog.build(import_target.convert(V3)[0], "").moe
    assert moe is not None
    assert (moe.groups, moe.top_groups) == (8, 4)
    greedy = catalog.build(
        import_target.convert(V3 | {"model_type": "deepseek_v2", "topk_method": "greedy"})[0], ""
    ).moe
    assert greedy is not None
    assert greedy.groups == 1


def test_dense_layers_among_experts_are_counted():
    sparse = CONFIGS["qwen3-30b-a3b"] | {"intermediate_size": 6144, "mlp_only_layers": [0], "decoder_sparse_step": 2}
    target = catalog.build(import_target.convert(sparse)[0], "")
    assert target.moe_layers == 24  # every second one; layer 0 is none of them


@pytest.mark.parametrize(
    ("quantization", "formats"),
    [
        (None, ("bf16", "bf16")),
        ({"quant_method": "fp8"}, ("fp8", "fp8")),
        ({"quant_algo": "NVFP4", "quant_method": "modelopt"}, ("bf16", "nvfp4")),
        ({"config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32}}}}, ("bf16", "int4")),
        ({"format": "float-quantized"}, ("fp8", "fp8")),
        ({"quant_method": "unheard-of"}, ("bf16", "bf16")),
    ],
)
def test_formats_are_read_from_the_quantization(quantization, formats):
    entry, assumed = import_target.convert(K2 | {"quantization_config": quantization})
    assert (entry["weight_format"], entry["expert_format"]) == formats
    assert any("unheard-of" in sentence for sentence in assumed) == ("unheard" in str(quantization))


def test_what_cannot_be_is_an_input_error():
    with pytest.raises(InputError, match="heads"):
        import_target.convert(CONFIGS["llama-3-8b"] | {"num_key_value_heads": 7})
