"""The catalogue: every entry builds and says where it is from, and a user's file works like a shipped one."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from montecarlo.errors import InputError
from montecarlo.hardware import BYTES
from studies import catalog, config, scenario
from tests.test_cli import Outcome, invoke, tiny
from traces import profiles

TARGETS, HARDWARE = catalog.table("targets"), catalog.table("hardware")


def priced(name: str) -> bool:
    return not TARGETS[name].get("post")


@pytest.mark.parametrize("name", [*TARGETS, *HARDWARE, *profiles.shipped()])
def test_ids_are_lower_case_words(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", name)


def test_ids_of_the_design_are_there() -> None:
    assert {"gpt-oss-20b", "gpt-oss-120b"} <= TARGETS.keys()
    assert {"h100-sxm", "h200-sxm", "b200-sxm"} <= HARDWARE.keys()


@pytest.mark.parametrize("entry", [*TARGETS.values(), *HARDWARE.values()], ids=[*TARGETS, *HARDWARE])
def test_every_entry_names_its_source_and_how_sure_it_is(entry: dict[str, Any]) -> None:
    assert len(entry["source"]) > 10
    assert entry["confidence"].startswith(("high", "medium", "low"))


@pytest.mark.parametrize("name", HARDWARE)
def test_every_device_builds_and_is_of_this_world(name: str) -> None:
    device = catalog.hardware(name)
    assert 50e12 < device.bf16 < 5e15
    assert 0.5e12 < device.bandwidth < 20e12
    assert 10e9 < device.memory < 400e9
    assert device.fp8 == 0 or device.bf16 <= device.fp8 <= 2.1 * device.bf16
    assert device.fp4 == 0 or device.fp4 >= device.fp8
    for stored in BYTES:
        assert device.peak(stored) >= device.bf16


@pytest.mark.parametrize("name", [name for name in TARGETS if priced(name)])
def test_every_target_builds(name: str) -> None:
    target = catalog.target(name)
    total, active = target.parameters()
    assert 0 < active <= total
    assert target.layers >= target.moe_layers


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        ("gpt-oss-20b", 20.9, 3.6),
        ("gpt-oss-120b", 116.8, 5.1),
        ("qwen3-30b-a3b", 30.5, 3.3),
        ("qwen3-235b-a22b", 235.0, 22.0),
        ("mixtral-8x7b", 46.7, 12.9),
        ("olmoe-1b-7b", 6.9, 1.3),
        ("llama-3-70b", 70.6, 70.6),
        ("llama-3-8b", 8.0, 8.0),
    ],
)
def test_parameters_are_those_published(name: str, billions: float, active: float) -> None:
    """Model cards; active counts differ on whether the embedding counts, hence the wider margin."""
    total, used = catalog.target(name).parameters()
    assert total / 1e9 == pytest.approx(billions, rel=0.02)
    assert used / 1e9 == pytest.approx(active, rel=0.15)


@pytest.mark.parametrize("name", TARGETS)
def test_every_targets_own_defaults_build(name: str) -> None:
    device = "b200-sxm" if TARGETS[name].get("post") else "h200-sxm"
    sets = [f"target={name}", f"hardware={device}", "batch=1", "draft_length=[0, 2]"]
    if TARGETS[name].get("post"):
        sets.append("prices=post")
    built = scenario.build(scenario.fill("optimal-k", config.resolve("optimal-k", None, sets, {})), 0)
    assert built.labels["target"] == name
    seconds = built.prices.other_seconds(1, np.array([0, 2]), 4096)
    assert np.all(np.isfinite(seconds))
    assert np.all(seconds > 0)


@pytest.mark.parametrize("name", profiles.shipped())
def test_every_profile_loads_and_says_where_it_is_from(name: str) -> None:
    profile = profiles.load(name)
    assert profile.id == name
    assert profile.title
    assert len(profile.source) > 10
    assert profile.limits
    if profile.kind == "acceptance":
        profiles.acceptance(profile)
    elif profile.kind == "overlap":
        profiles.overlap(profile, experts=32, top_k=4)
        profiles.overlap(profile, experts=160, top_k=8)
    elif profile.kind == "difficulty":
        profiles.difficulty.process(profile.numbers, name)
    else:
        profiles.routing(profile, layers=24, experts=32, top_k=4)
        profiles.routing(profile, layers=3, experts=160, top_k=8)


def test_a_name_that_is_no_profile_names_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        profiles.load("gpt-oss-21b")
    assert all(name in str(caught.value) for name in profiles.shipped())


@pytest.mark.parametrize("what", catalog.LATER)
def test_what_is_not_built_yet_is_refused_by_name_and_nowhere_built(what: str) -> None:
    for name in catalog.LATER[what]:
        assert name not in TARGETS
        assert name not in HARDWARE
        assert "not built yet" in str(catalog.refuse(what, name, ["another"]))


def toml(value: Any) -> str:
    """A value of the catalogue as TOML, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(held)}" for key, held in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f"'{value}'" if isinstance(value, str) else repr(value)


def test_a_users_files_give_what_the_shipped_entries_give(tmp_path: Path) -> None:
    for name, entry in (("olmoe-1b-7b", TARGETS["olmoe-1b-7b"]), ("h200-sxm", HARDWARE["h200-sxm"])):
        (tmp_path / f"{name}.toml").write_text("".join(f"{key} = {toml(held)}\n" for key, held in entry.items()))
    profile = Path(profiles.__file__).parent / "gpt-oss-20b.toml"
    (tmp_path / "gpt-oss-20b.toml").write_bytes(profile.read_bytes())
    own = {
        "target": str(tmp_path / "olmoe-1b-7b.toml"),
        "hardware": str(tmp_path / "h200-sxm.toml"),
        "routing": str(tmp_path / "gpt-oss-20b.toml"),
    }
    assert catalog.target(own["target"]) == catalog.target("olmoe-1b-7b")
    assert catalog.hardware(own["hardware"]) == catalog.hardware("h200-sxm")
    assert invoke(*tiny(tmp_path / "own", "--quiet", batch="4", **own)) == Outcome(0, "", "")
    assert invoke(*tiny(tmp_path / "shipped", "--quiet", batch="4")) == Outcome(0, "", "")
    frames = [pl.read_parquet(tmp_path / name / "results.parquet") for name in ("own", "shipped")]
    assert frames[0].equals(frames[1], null_equal=True)
