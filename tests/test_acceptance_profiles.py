"""Shipped profiles of acceptance by depth against the published figures, and laws that differ by draft length."""

import csv
import tomllib
from pathlib import Path

import numpy as np
import pytest

from montecarlo.errors import InputError
from tests.golden import golden_curves
from traces import profiles

# id -> rows of published/per_position_acceptance.csv: target, drafter, k, how the workload begins
PUBLISHED = {
    "gpt-oss-20b-eagle-3": ("gpt-oss-20b", "RedHatAI eagle3", 3, "MT-Bench"),
    "llama-3.1-8b-eagle-3": ("Llama-3.1-8B-Instruct", "RedHatAI eagle3", 3, "MT-Bench"),
    "qwen3-8b-eagle-3": ("Qwen3-8B", "RedHatAI eagle3", 3, "MT-Bench"),
    "gemma-4-31b-dflash-humaneval": ("Gemma-4-31B-it", "DFlash RedHatAI", 8, "HumanEval"),
    "gemma-4-31b-dflash-math": ("Gemma-4-31B-it", "DFlash RedHatAI", 8, "math_reasoning"),
    "gemma-4-31b-dflash-qa": ("Gemma-4-31B-it", "DFlash RedHatAI", 8, "qa"),
    "gemma-4-31b-dflash-tool-call": ("Gemma-4-31B-it", "DFlash RedHatAI", 8, "tool_call"),
    "kimi-k3-dspark-coding": ("Kimi-K3 2.8T (16/896)", "DSpark Inferact", 7, "Coding"),
    "kimi-k3-dspark-mt-bench": ("Kimi-K3 2.8T (16/896)", "DSpark Inferact", 7, "MT-Bench"),
    "kimi-k3-dspark-qa": ("Kimi-K3 2.8T (16/896)", "DSpark Inferact", 7, "QA"),
    "qwen3-4b-dflash-gsm8k": ("Qwen3-4B", "DFlash b16", 15, "gsm8k"),
    "qwen3-4b-dflash-math500": ("Qwen3-4B", "DFlash b16", 15, "math500"),
    "deepseek-v4-flash-mtp": ("DeepSeek-V4-Flash", "MTP probabilistic draft", 2, "random"),
    "glm-5-mtp": ("GLM-5 w4a8", "MTP", 3, "production"),
    "glm-5.3-mtp": ("GLM-5.3 FP8", "MTP", 1, "serving"),
    "qwen3-next-80b-a3b-mtp": ("Qwen3-Next-80B-A3B", "MTP-1", 1, "gsm8k"),
}
BY_LENGTH = {
    "multi-layer-mtp-gsm8k": ("(PR 48892 model)", "multi-layer MTP", (1, 8), "gsm8k"),
    "gpt-oss-120b-eagle-3-random": ("gpt-oss-120b", "nvidia Eagle3-v3", (1, 3, 7), "random"),
}
RANGES = {"deepseek-v3-mtp": (0.85, 0.90), "deepseek-r1-mtp": (0.81, 0.823)}  # published as ranges


def _published(data: Path, target: str, drafter: str, k: int, workload: str) -> tuple[list[float], float]:
    """(survival, tokens per step): the means of the rows."""
    with (data / "published" / "per_position_acceptance.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["target"], row["drafter"], row["k"]) == (target, drafter, str(k))
            and row["workload"].startswith(workload)
        ]
    assert rows
    curves = [[float(row[f"pos_{d}"]) for d in range(1, 9) if row[f"pos_{d}"]] for row in rows]
    return np.mean(curves, axis=0).tolist(), float(np.mean([float(row["AL_incl_bonus"]) for row in rows]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shipped_curve_is_the_published_one(data: Path, name: str) -> None:
    survival, tokens = _published(data, *PUBLISHED[name])
    law = profiles.acceptance(profiles.load(name))
    assert law.known == len(survival)
    np.testing.assert_allclose(law.survival(len(survival)), survival, atol=6e-5)
    drafts = PUBLISHED[name][2]
    if drafts == len(survival):  # elsewhere depths are missing from the table
        np.testing.assert_allclose(law.tokens_per_step(drafts), tokens, atol=0.03)


@pytest.mark.parametrize("name", BY_LENGTH)
def test_a_shipped_curve_by_length_is_the_published_one(data: Path, name: str) -> None:
    target, drafter, lengths, workload = BY_LENGTH[name]
    profile = profiles.load(name)
    for k in lengths:
        survival, tokens = _published(data, target, drafter, k, workload)
        law = profiles.acceptance(profile).at(k)
        np.testing.assert_allclose(law.survival(k), survival, atol=6e-5)
        np.testing.assert_allclose(law.tokens_per_step(k), tokens, atol=0.03)


@pytest.mark.parametrize("name", RANGES)
def test_a_published_range_is_taken_at_its_middle(name: str) -> None:
    law = profiles.acceptance(profiles.load(name))
    assert law.known == 1
    assert law.hazards[0] == pytest.approx(np.mean(RANGES[name]))


def test_the_blocks_of_dspark_have_the_golden_tokens_per_step(data: Path) -> None:
    """By one hazard within each block; the beginning of the longest block is another law than the shorter blocks."""
    figures = golden_curves(data)["deepseek-v4-pro-0813 thinking_on"]
    profile = profiles.load("deepseek-v4-pro-dspark")
    laws = [profiles.acceptance(profile).at(k) for k in range(1, 9)]
    found = [float(law.tokens_per_step(k)) for k, law in enumerate(laws, 1)]
    np.testing.assert_allclose(found, figures, atol=5e-4)
    for law in laws:
        np.testing.assert_allclose(law.hazards, law.hazards[0], atol=6e-4)
    assert np.argmax(found) == 5
    assert np.abs(laws[-1].tokens_per_step(np.arange(1, 8)) - figures[:7]).min() > 0.09


def test_every_acceptance_profile_is_checked_here() -> None:
    checked = {*PUBLISHED, *BY_LENGTH, *RANGES, "deepseek-v4-pro-dspark"}
    kinds = {name: profiles.load(name).kind for name in profiles.shipped()}
    assert checked == {name for name, kind in kinds.items() if kind == "acceptance"}


def _own(tmp_path: Path, text: str) -> profiles.Profile:
    path = tmp_path / "own.toml"
    path.write_text(f'kind = "acceptance"\n{text}', "utf-8")
    tomllib.loads(path.read_text("utf-8"))
    return profiles.load(str(path))


def test_the_law_is_that_of_the_length_asked_for(tmp_path: Path) -> None:
    own = _own(tmp_path, "[survival_by_length]\n4 = [0.7, 0.5, 0.3]\n2 = [0.9, 0.6]\n16 = [0.5]")
    asked = {1: [0.9, 0.6], 2: [0.9, 0.6], 3: [0.7, 0.5, 0.3], 4: [0.7, 0.5, 0.3], 5: [0.5], 16: [0.5], 40: [0.5]}
    for k, survival in asked.items():
        law = profiles.acceptance(own).at(k)
        assert law.known == len(survival)
        np.testing.assert_allclose(law.survival(len(survival)), survival)
    whole = profiles.acceptance(own)
    np.testing.assert_allclose(whole.tokens_per_step([0, 1, 2, 3, 4]), [1, 1.9, 2.5, 2.5, 2.68])
    np.testing.assert_allclose(whole.survival(1), [0.5])  # of the longest run


def test_one_curve_serves_every_length(tmp_path: Path) -> None:
    law = profiles.acceptance(_own(tmp_path, "survival = [0.7, 0.5]"))
    assert law.at(1) == law.at(9) == law


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("survival_by_length = [0.5]", "faults at its top"),
        ("[survival_by_length]\n", "faults at its top"),
        ("[survival_by_length]\n2 = [0.5, 0.4, 0.3]\nfew = [0.5]\n3 = 0.5", "faults at 2, few, 3"),
        ("[survival_by_length]\n2 = [0.5, 0.6]", "at draft length 2, survival rises at depth 2"),
        ("[survival_by_length]\n2 = []", "at draft length 2, survival must be a list of at least one"),
        ("survival = [0.5]\n[survival_by_length]\n1 = [0.5]", "stands alone; leave out survival"),
        ("", "either survival or hazard"),
    ],
)
def test_faults_of_a_law_by_length_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        profiles.acceptance(_own(tmp_path, text))
