"""The catalogue: targets and hardware by id, or from a user's own TOML file with the keys of one entry."""

import difflib
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from montecarlo.attention import Attention
from montecarlo.compressed import MLA, Compressed
from montecarlo.errors import InputError, whole
from montecarlo.ffn import Dense, MoE
from montecarlo.hardware import Hardware
from montecarlo.linear import GatedDeltaNet
from montecarlo.target import AttentionKind, Target
from traces import toml

# In the field's catalogue, priced in a later version.
LATER = {
    "drafter": ("eagle-3.1", "mtp", "dflash", "ssd", "dspark"),
    "hardware": (),
}


WORDS = ("source", "confidence", "note")
KEYS = {
    "hardware": (
        "bf16_flops_per_s",
        "fp8_flops_per_s",
        "fp4_flops_per_s",
        "memory_bytes_per_s",
        "memory_bytes",
        *WORDS,
    ),
    "target": (
        "hidden",
        "vocabulary",
        "weight_format",
        "expert_format",
        "kv_format",
        "activation_format",
        "attention",
        "ffn",
        "drafter",
        "acceptance",
        "assumed",
        *WORDS,
    ),
}


@cache
def table(name: str) -> dict[str, dict[str, Any]]:
    """All entries of `targets` or `hardware`, by id."""
    return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))


def refuse(what: str, given: str, allowed: list[str]) -> InputError:
    """The error for an id that is not one: named if it is known but not built, else with the nearest one."""
    if given in LATER.get(what, ()):
        return InputError(f"{what} {given!r} is not built yet; built: {', '.join(allowed)}")
    near = difflib.get_close_matches(given, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {what} {given!r}; {hint}allowed: {', '.join(allowed)}")


def entry(what: str, given: str) -> dict[str, Any]:
    """The catalogue entry of an id, or the content of a TOML file."""
    entries = table("targets" if what == "target" else what)
    if given in entries:
        return entries[given]
    if given.endswith(".toml"):
        return toml.read(Path(given), what)
    raise refuse(what, given, sorted(entries))


def _known(what: str, given: str, read: dict[str, Any]) -> dict[str, Any]:
    for key in read:
        if key not in KEYS[what]:
            near = difflib.get_close_matches(key, KEYS[what], n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"{what} {given} has the unknown key {key!r}; {hint}allowed: {', '.join(KEYS[what])}")
    return read


def hardware(given: str) -> Hardware:
    """The device of an id or file."""
    read = _known("hardware", given, entry("hardware", given))
    try:
        return Hardware.of(
            bf16=read["bf16_flops_per_s"],
            fp8=read.get("fp8_flops_per_s"),
            fp4=read.get("fp4_flops_per_s"),
            bandwidth=read["memory_bytes_per_s"],
            memory=read["memory_bytes"],
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"hardware {given} needs the numbers bf16_flops_per_s, memory_bytes_per_s and memory_bytes "
            f"({error} is missing or no number)"
        ) from error


def target(given: str) -> Target:
    """The target of an id or file."""
    return build(entry("target", given), given)


def build(read: dict[str, Any], given: str) -> Target:
    """The target of an entry, called `given` in errors."""
    _known("target", given, read)
    try:
        return Target.of(
            hidden=read["hidden"],
            vocabulary=read["vocabulary"],
            attention=tuple((_layers(row), _attention(row)) for row in read["attention"]),
            ffn=tuple((_layers(row), _ffn(row)) for row in read["ffn"]),
            weight_format=read.get("weight_format", "bf16"),
            expert_format=read.get("expert_format", "bf16"),
            kv_format=read.get("kv_format", "bf16"),
        ).with_formats(activation_format=read.get("activation_format"))
    except InputError as error:
        raise InputError(f"target {given}: {error}") from error
    except (KeyError, TypeError) as error:
        raise InputError(
            f"target {given} needs hidden, vocabulary, attention and ffn as in `studies/catalog/targets.toml` ({error})"
        ) from error


def _layers(row: dict[str, Any]) -> int:
    return whole(f"layers = {row['layers']!r} of a layer list", row["layers"])


def _sizes(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("layers", "kind")}


def _attention(row: dict[str, Any]) -> AttentionKind:
    kind = row.get("kind", "gqa")
    if kind == "gqa":
        return Attention.of(**_sizes(row))
    if kind == "mla":
        return MLA.of(**_sizes(row))
    if kind == "compressed":
        return Compressed.of(**_sizes(row))
    if kind == "gated-delta-net":
        return GatedDeltaNet.of(**_sizes(row))
    raise InputError(f"an attention layer is of kind {kind!r}; allowed: gqa, mla, compressed, gated-delta-net")


def _ffn(row: dict[str, Any]) -> Dense | MoE:
    if row["kind"] == "dense":
        return Dense.of(**_sizes(row))
    if row["kind"] == "moe":
        return MoE.of(**_sizes(row))
    raise InputError(f"a feed-forward layer is of kind {row['kind']!r}; allowed: dense, moe")
