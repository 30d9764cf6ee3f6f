"""A target from a Hugging Face config.json: its layer list, and every assumption made on the way.

    model_type                          attention                   feed-forward
    llama                               GQA                         dense
    mixtral, olmoe, qwen2_moe,          GQA                         MoE, some with shared experts and dense layers
    qwen3_moe, glm4_moe
    gpt_oss                             GQA, full and windowed      MoE
    qwen3_next, qwen3_5, qwen3_5_moe    GQA with gated outputs,     MoE or dense
    (also of Qwen3.6)                   gated delta nets
    deepseek_v2, deepseek_v3, kimi_k2   MLA                         dense, MoE with groups
    deepseek_v4                         compressed latents          MoE, the first layers routed by token id

The names of the fields are those of transformers' configuration classes.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from studies import catalog

Row = dict[str, Any]

GQA = ("llama", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "glm4_moe", "gpt_oss")
HYBRID = ("qwen3_next", "qwen3_5", "qwen3_5_moe")
LATENT = ("deepseek_v2", "deepseek_v3", "kimi_k2")
MODEL_TYPES = (*GQA, *HYBRID, *LATENT, "deepseek_v4")

EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts")  # one field, three names
LEFT_OUT = {  # fields that name parts a target does not have
    "num_nextn_predict_layers": "its multi-token-prediction layers",
    "mtp_num_hidden_layers": "its multi-token-prediction layers",
    "vision_config": "its vision tower",
}


@dataclass
class Config:
    """A config.json's fields, and what was assumed where they are silent."""

    values: dict[str, Any]
    assumed: list[str] = field(default_factory=list)

    @property
    def model_type(self) -> str:
        """The family, without the suffix of nested text configurations."""
        return str(self.values.get("model_type")).removesuffix("_text")

    def whole(self, name: str, absent: int | None = None) -> int:
        """A whole number; `absent` is taken, and said, where the field is missing or null."""
        value = self.values.get(name)
        if value is None and absent is not None:
            self.assumed.append(f"{name} is not given: {absent}.")
            return absent
        if not isinstance(value, int) or isinstance(value, bool):
            given = "is missing" if value is None else f"is {value!r}, no whole number"
            raise InputError(f"config of a {self.model_type}: {name} {given}")
        return value

    def or_zero(self, name: str) -> int:
        """A whole number where absence means none."""
        return 0 if self.values.get(name) is None else self.whole(name)

    def listed(self, name: str) -> list[Any]:
        """A list, empty where the field is missing or null."""
        value = self.values.get(name)
        if not isinstance(value, list | None):
            raise InputError(f"config of a {self.model_type}: {name} is {value!r}, no list")
        return value or []


def read(path: Path) -> tuple[Row, list[str]]:
    """The catalogue entry of a config.json, and what was assumed; raises InputError for what cannot be imported."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"config {path} is no JSON object")
    entry, assumed = convert(values)
    return {"source": path.name, "assumed": assumed} | entry, assumed


def convert(values: dict[str, Any]) -> tuple[Row, list[str]]:
    """The catalogue entry of a configuration, and what was assumed."""
    nested = values.get("text_config")
    config = Config(values | nested if isinstance(nested, dict) else values)
    if config.model_type not in MODEL_TYPES:
        raise InputError(
            f"model_type {config.values.get('model_type')!r} cannot be imported; allowed: {', '.join(MODEL_TYPES)}"
        )
    entry: Row = {"hidden": config.whole("hidden_size"), "vocabulary": config.whole("vocab_size")}
    entry |= _formats(config)
    entry |= {"drafter": "fraction:0.10", "acceptance": 0.75}
    config.assumed.append("The drafter costs 0.10 of a target step per draft and acceptance is 0.75, i.i.d.")
    entry |= {"attention": _attention(config), "ffn": _ffn(config)}
    left_out = dict.fromkeys(what for name, what in LEFT_OUT.items() if config.values.get(name))
    config.assumed += [f"Left out: {what}." for what in left_out]
    if config.values.get("tie_word_embeddings"):
        config.assumed.append("Embedding and LM head are tied; they are counted as two.")
    catalog.build(entry, "of this config")
    return entry, config.assumed


def _formats(config: Config) -> Row:
    """Number formats from `quantization_config`, `expert_dtype` and the family."""
    quantized = config.values.get("quantization_config")
    described = json.dumps(quantized).lower() if isinstance(quantized, dict) else ""
    stated = str(config.values.get("expert_dtype", "")).lower()
    weights = experts = "bf16"
    if "nvfp4" in described:
        experts = "nvfp4"
    elif "mxfp4" in described:
        experts = "mxfp4"
    elif any(sign in described for sign in ('"num_bits": 4', '"bits": 4')):
        experts = "int4"
        config.assumed.append("4-bit weights are counted in groups of 32.")
    elif "fp8" in described or "float-quantized" in described:
        weights = experts = "fp8"
    elif described:
        config.assumed.append(f"quantization_config is none we know ({described[:60]}...).")
    if config.model_type == "deepseek_v4":
        weights = "fp8"
        experts = experts if experts == "nvfp4" else {"fp4": "mxfp4", "fp8": "fp8"}.get(stated, experts)
    dense = not any(config.values.get(name) for name in EXPERTS)
    if dense:
        weights = experts
    kv = "fp8" if config.model_type == "deepseek_v4" else "bf16"
    stored = f"Stored: weights {weights}" + ("" if dense else f", experts {experts}") + f", KV {kv}"
    config.assumed.append(f"{stored}; set weight_format, expert_format or kv_format where yours differ.")
    return {"weight_format": weights, "expert_format": experts, "kv_format": kv}


def _attention(config: Config) -> list[Row]:
    layers = config.whole("num_hidden_layers")
    if config.model_type == "deepseek_v4":
        return _compressed(config, layers)
    heads = config.whole("num_attention_heads")
    if config.model_type in LATENT:
        mla = {
            "kind": "mla",
            "heads": heads,
            "kv_rank": config.whole("kv_lora_rank"),
            "rope": config.whole("qk_rope_head_dim"),
            "nope": config.whole("qk_nope_head_dim"),
            "value": config.whole("v_head_dim"),
            "q_rank": config.or_zero("q_lora_rank"),
        }
        return [{"layers": layers} | mla]
    full: Row = {
        "heads": heads,
        "kv_heads": config.whole("num_key_value_heads", heads),
        "head_dim": config.whole("head_dim", config.whole("hidden_size") // max(heads, 1)),
    }
    rows = []
    for kind, count in _layer_types(config, layers).items():
        row = {"layers": count}
        if kind == "linear_attention":
            row |= _delta_net(config)
        elif kind == "sliding_attention":
            row |= full | {"window": config.whole("sliding_window")}
        elif kind == "full_attention":
            gated = config.model_type in HYBRID and config.values.get("attn_output_gate", True)
            row |= full | ({"gated": True} if gated else {})
        else:
            raise InputError(f"config of a {config.model_type}: layer type {kind!r} cannot be imported")
        rows.append(row)
    return rows


def _layer_types(config: Config, layers: int) -> Counter[str]:
    """How many layers are of each kind: `layer_types`, or the family's rule where it is not given."""
    types = [str(kind) for kind in config.listed("layer_types")]
    if types and len(types) != layers:
        raise InputError(f"config of a {config.model_type}: layer_types lists {len(types)} of {layers} layers")
    if not types and config.model_type == "gpt_oss":
        types = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)]
        config.assumed.append("layer_types is not given: windowed and full attention alternate.")
    elif not types and config.model_type in HYBRID:
        every = max(config.whole("full_attention_interval", 4), 1)
        types = ["linear_attention" if (layer + 1) % every else "full_attention" for layer in range(layers)]
    elif not types:
        if config.values.get("sliding_window") and config.values.get("use_sliding_window", True):
            config.assumed.append("sliding_window is not applied: all layers attend to the whole context.")
        types = ["full_attention"] * layers
    return Counter(types)


def _delta_net(config: Config) -> Row:
    wide = config.values.get("mamba_ssm_dtype") == "float32"
    config.assumed.append(f"Linear-attention state is held at {4 if wide else 2} B per element; rollback = states.")
    return {
        "kind": "gated-delta-net",
        "key_heads": config.whole("linear_num_key_heads"),
        "value_heads": config.whole("linear_num_value_heads"),
        "key_dim": config.whole("linear_key_head_dim"),
        "value_dim": config.whole("linear_value_head_dim"),
        "conv": config.whole("linear_conv_kernel_dim", 4),
        "state_bytes": 4 if wide else 2,
    }


def _compressed(config: Config, layers: int) -> list[Row]:
    ratios = config.listed("compress_ratios")
    if not all(isinstance(ratio, int) for ratio in ratios):
        raise InputError("config of a deepseek_v4: compress_ratios must be whole numbers")
    if len(ratios) < layers:
        raise InputError(f"config of a deepseek_v4: compress_ratios lists {len(ratios)} of {layers} layers")
    if len(ratios) > layers:
        config.assumed.append(f"compress_ratios beyond layer {layers} belong to the multi-token-prediction layers.")
    latent = {
        "kind": "compressed",
        "heads": config.whole("num_attention_heads"),
        "head_dim": config.whole("head_dim"),
        "rope": config.whole("qk_rope_head_dim"),
        "q_rank": config.whole("q_lora_rank"),
        "o_rank": config.whole("o_lora_rank"),
        "o_groups": config.whole("o_groups"),
        "window": config.whole("sliding_window"),
    }
    index = {
        "index_heads": config.whole("index_n_heads"),
        "index_dim": config.whole("index_head_dim"),
        "index_top_k": config.whole("index_topk"),
    }
    config.assumed.append("The queries of a window share CSA's selected rows (index_spread = 0).")
    counted = Counter(ratios[:layers])
    return [{"layers": n} | latent | {"ratio": r} | (index if r == 4 else {}) for r, n in counted.items()]


def _ffn(config: Config) -> list[Row]:
    layers = config.whole("num_hidden_layers")
    experts = next((name for name in EXPERTS if config.values.get(name)), None)
    if experts is None:
        return [{"layers": layers, "kind": "dense", "intermediate": config.whole("intermediate_size")}]
    alone = "moe_intermediate_size" not in config.values  # Mixtral, OLMoE and gpt-oss have one width only
    width = config.whole("intermediate_size" if alone else "moe_intermediate_size")
    moe: Row = {"kind": "moe", "experts": config.whole(experts), "top_k": config.whole("num_experts_per_tok")}
    moe["intermediate"] = width
    shared = config.or_zero("shared_expert_intermediate_size") or config.or_zero("n_shared_experts") * width
    if shared:
        moe["shared_intermediate"] = shared
    if config.or_zero("n_group") > 1 and config.values.get("topk_method") != "greedy":
        moe |= {"groups": config.whole("n_group"), "top_groups": config.whole("topk_group")}
    if config.or_zero("num_hash_layers"):
        moe["hash_layers"] = config.whole("num_hash_layers")
        config.assumed.append("Layers that route by token id are simulated as routed by affinity.")
    dense = sum(_is_dense(config, layer) for layer in range(layers))
    if not dense:
        return [{"layers": layers} | moe]
    first = {"layers": dense, "kind": "dense", "intermediate": config.whole("intermediate_size")}
    return [first, {"layers": layers - dense} | moe] if dense < layers else [first]


def _is_dense(config: Config, layer: int) -> bool:
    """Whether a layer of a mixture is dense: DeepSeek's and GLM's first ones, Qwen's listed or skipped ones."""
    if layer < config.or_zero("first_k_dense_replace") or layer in config.listed("mlp_only_layers"):
        return True
    every, step = config.or_zero("moe_layer_freq") or 1, config.or_zero("decoder_sparse_step") or 1
    return layer % every > 0 or (layer + 1) % step > 0
