"""What a scenario changes about its target: number formats, and how some layers work; and what layers assume."""

from dataclasses import asdict, replace
from typing import Any

from montecarlo.compressed import MLA, Compressed
from montecarlo.errors import InputError
from montecarlo.linear import GatedDeltaNet
from montecarlo.target import AttentionKind, Target
from studies.config import Scenario

FORMATS = ("weight_format", "expert_format", "kv_format", "activation_format")
# key of a scenario: the field it sets, and of which layers
LAYERS: dict[str, tuple[str, type[MLA | Compressed | GatedDeltaNet], str]] = {
    "mla_form": ("form", MLA, "MLA"),
    "index_spread": ("index_spread", Compressed, "indexed (CSA)"),
    "rollback": ("rollback", GatedDeltaNet, "linear-attention"),
}


def named(given: Scenario) -> dict[str, Any]:
    """The keys above that the scenario names, with their values."""
    return {key: value for key in (*FORMATS, *LAYERS) if (value := getattr(given, key)) is not None}


def as_asked(target: Target, given: Scenario, notes: list[str]) -> Target:
    """The target with what the scenario names; raises InputError for what concerns none of its layers."""
    asked = named(given)
    formats = {key: value for key, value in asked.items() if key in FORMATS}
    if "expert_format" in formats and target.moe is None:
        raise InputError(f"expert_format = {given.expert_format}: target {given.target} is dense and has no experts")
    if formats:
        notes.append(f"Number formats as asked: {', '.join(f'{key} {value}' for key, value in formats.items())}.")
    target = target.with_formats(**formats)
    for key in (key for key in asked if key in LAYERS):
        attention = tuple((count, _changed(kind, key, asked[key])) for count, kind in target.attention)
        if not any(_concerned(kind, key) for _, kind in attention):
            raise InputError(f"{key} = {asked[key]}: target {given.target} has no {LAYERS[key][2]} layers")
        target = replace(target, attention=attention)
    return target


def _concerned(kind: AttentionKind, key: str) -> bool:
    return isinstance(kind, LAYERS[key][1]) and (key != "index_spread" or asdict(kind)["index_top_k"] > 0)


def _changed(kind: AttentionKind, key: str, value: Any) -> AttentionKind:
    field, family, _ = LAYERS[key]
    return family.of(**(asdict(kind) | {field: value})) if _concerned(kind, key) else kind


def assumptions(target: Target) -> list[str]:
    """What the prices of the target's layers assume, a sentence each."""
    kinds, said = [kind for _, kind in target.attention], []
    form = next((kind.form for kind in kinds if isinstance(kind, MLA)), None)
    if form is not None:
        said.append(f"MLA is priced in its {form} form.")
    spread = next((kind.index_spread for kind in kinds if isinstance(kind, Compressed) and kind.index_top_k), None)
    if spread is not None:
        said.append(f"CSA: each further query of a window reads {spread:g} of its selected rows for itself.")
    rollback = next((kind.rollback for kind in kinds if isinstance(kind, GatedDeltaNet)), None)
    if rollback is not None:
        way = {"states": "write one state per window position", "replay": "replay accepted drafts from the last state"}
        said.append(f"Linear-attention layers {way[rollback]} in a verify (rollback = {rollback}).")
    if target.moe and target.moe.hash_layers:
        said.append(f"{target.moe.hash_layers} MoE layers route by token id; they are simulated as routed by affinity.")
    return said
