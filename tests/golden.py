"""The golden curves of InferenceX in the shared data: tokens per step (bonus counted) at draft length 1..8."""

import re
from pathlib import Path

import numpy as np


def golden_curves(folder: Path) -> dict[str, np.ndarray]:
    """'model thinking' -> [8]; the files are two levels of keys over `length: figure`."""
    found: dict[str, list[float]] = {}
    for path in sorted((folder / "acceptance" / "inferencex-golden-al").glob("*.yaml")):
        model = mode = ""
        for line in path.read_text("utf-8").splitlines():
            if match := re.match(r"([\w.-]+):$", line):
                model = match[1]
            elif match := re.match(r"  (\w+):$", line):
                mode = match[1]
            elif match := re.match(r"    (\d+): ([\d.]+)$", line):
                curve = found.setdefault(f"{model} {mode}", [])
                assert int(match[1]) == len(curve) + 1
                curve.append(float(match[2]))
    return {name: np.array(curve) for name, curve in found.items()}
