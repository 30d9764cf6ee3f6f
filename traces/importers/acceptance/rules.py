"""Marks, anywhere in a source, of acceptance that was set instead of measured, or that changes the text.

They stand in start-up logs, server arguments and configurations that are kept with the figures.
"""

import re
from collections.abc import Iterable

from montecarlo.errors import InputError
from traces.importers.acceptance.files import File

_IS = r"[\"']?\s*[:= ]\s*[\"']?"  # between a name and its value in JSON, YAML, Python reprs, flags and environments

# Acceptance forced to a given length: such a run measures prices, never acceptance.
SYNTHETIC = {  # vllm/config/speculative.py; python/sglang/srt/environ.py, off at 0 or below
    "vLLM's rejection_sample_method: synthetic": rf"rejection_sample_method{_IS}synthetic\b",
    "vLLM's synthetic_acceptance": rf"synthetic_acceptance_(?:length|rates?){_IS}[\[\d]",
    "SGLang's SIMULATE_ACC_LEN": rf"SIMULATE_ACC_LEN{_IS}(?!0\b)\d",
    "TensorRT-LLM's TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS": (
        rf"TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS{_IS}(?!0\b)\d"
    ),
}

# Drafts kept that exact verification would reject: the text, and so the acceptance, is another.
LOSSY = {
    "typical acceptance (vLLM)": r"typical_acceptance_sampler",
    "an acceptance threshold below 1 (SGLang)": rf"speculative_accept_threshold_(?:single|acc){_IS}0?\.\d*[1-9]|"
    rf"speculative_accept_threshold_(?:single|acc){_IS}0(?:\.0*)?(?![.\d])",
    "relaxed acceptance (TensorRT-LLM)": rf"use_relaxed_acceptance_for_thinking{_IS}(?i:true)",
}

BLOCK = {"block verification (vLLM)": rf"rejection_sample_method{_IS}block\b"}


def _found(file: File, marks: dict[str, str]) -> list[str]:
    said = []
    for name, mark in marks.items():
        match = re.search(mark, file.text)
        if match:
            said.append(f"{name} ({file.path.name} line {file.text.count(chr(10), 0, match.start()) + 1})")
    return said


def refuse_synthetic(files: Iterable[File]) -> None:
    """Raise InputError where a file says that acceptance was forced."""
    said = [mark for file in files for mark in _found(file, SYNTHETIC)]
    if said:
        raise InputError(
            f"acceptance was set, not measured: {', '.join(said)}; such runs hold prices but no acceptance, "
            "import a run without it"
        )


def flags(files: Iterable[File]) -> tuple[list[str], list[str]]:
    """Flags and notes of rules other than exact verification of each draft."""
    held = list(files)
    found, notes = [], []
    for flag, marks in (("lossy", LOSSY), ("block", BLOCK)):
        said = [mark for file in held for mark in _found(file, marks)]
        if said:
            found.append(flag)
            notes.append(f"Drafts were accepted by {', '.join(said)}.")
    return found, notes
