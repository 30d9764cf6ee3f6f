"""InferenceX's golden acceptance (golden_al YAML): tokens per step by draft length, the bonus counted.

    # dataset: coding | temperature: 1.0 | output_len: 4096
    # thinking_on: temperature=1.0, ...
    model:
      thinking_on:
        1: 1.84

The data set and the temperature stand in comments, which a YAML reader drops; so these three levels are read as they
stand, and anything else in the file is a fault. The values carry noise of about 0.1.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog
from traces.faults import Faults
from traces.importers.acceptance.files import File, named

MODEL = re.compile(r"^([\w./-]+):\s*(?:#.*)?$")
MODE = re.compile(r"^ +(thinking_(?:on|off)):\s*(?:#.*)?$")
VALUE = re.compile(r"^ +(\d+):\s*(\d+(?:\.\d+)?)\s*(?:#.*)?$")
HEAT = r"\btemp(?:erature)?\s*[:= ]\s*(\d+(?:\.\d+)?)"
DATASET = re.compile(r"\bdataset:\s*([\w.-]+)")


def detects(path: Path, head: str) -> bool:
    """By its two modes."""
    return re.search(r"^ +thinking_(?:on|off):\s*(?:#.*)?$", head, re.MULTILINE) is not None


def read(files: Sequence[File]) -> AcceptanceLog:
    """Tokens per step of every model, mode and draft length."""
    faults = Faults()
    means: list[dict[str, Any]] = []
    notes = []
    for file in files:
        rows = _rows(file, faults)
        if not rows:
            faults.add("files without a value", str(file.path))
        means += rows
        falls = [
            b for a, b in pairwise(rows) if a["group"] == b["group"] and b["tokens_per_step"] < a["tokens_per_step"]
        ]
        if falls:
            first = f"{falls[0]['group']} at {falls[0]['draft_length']}"
            notes.append(
                f"{file.path.name}: {len(falls)} values fall with the draft length, as noise does (first: {first})."
            )
    return AcceptanceLog.of(named(files), faults, means=means, notes=notes)


def _rows(file: File, faults: Faults) -> list[dict[str, Any]]:
    lines = file.text.splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    dataset = next((found[1] for line in comments if (found := DATASET.search(line))), None)
    rows: list[dict[str, Any]] = []
    model = mode = None
    seen = set()
    for number, line in enumerate(lines, 1):
        at = f"{file.path.name} line {number}"
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if found := MODEL.match(line):
            model, mode = found[1], None
        elif model and (found := MODE.match(line)):
            mode = found[1]
        elif model and mode and (found := VALUE.match(line)):
            group, length = f"{model} {mode}", int(found[1])
            if (group, length) in seen:
                faults.add("draft lengths that are there twice", f"{at}: {length}")
            seen.add((group, length))
            known = {"group": group, "category": dataset, "temperature": _temperature(comments, mode)}
            rows.append({**known, "draft_length": length, "tokens_per_step": float(found[2])})
        else:
            faults.add(
                "lines that are not `model:`, `thinking_on|off:` or `draft length: tokens`", f"{at}: {line[:40]!r}"
            )
    return rows


def _temperature(comments: list[str], mode: str) -> float | None:
    """The comment of this mode says it, else the one of neither mode."""
    own = [line for line in comments if line.startswith(mode)]
    shared = [line for line in comments if not line.startswith("thinking_")]
    for line in own + shared:
        if found := re.search(HEAT, line):
            return float(found[1])
    return None
