"""Results of DFlash's benchmarks (block drafters): one JSON object.

per_sample: [{acceptance_lengths: [...]}]   per verify step, the ANCHOR COUNTED: 1..block size; drafts are one less
summary.acceptance_rate_per_pos             survival; its first entry is the anchor's and always 1.0
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, Steps
from traces.faults import Faults
from traces.importers.acceptance.files import File, counts, holding, named, number, text, values


def detects(path: Path, head: str) -> bool:
    """By the samples' lists of steps."""
    return '"per_sample"' in head and '"acceptance_lengths"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Every verify step, by sample."""
    faults = Faults()
    requests: list[dict[str, Any]] = []
    steps = Steps()
    notes = ["The last step of every sample may have been cut at the end of its text."]
    for file in files:
        for place, whole in values(file, faults):
            for held in holding(whole, "per_sample"):
                summary = held["summary"] if isinstance(held.get("summary"), dict) else {}
                given = summary.get("acceptance_rate_per_pos")
                rates = given if isinstance(given, list) else []
                drafted = len(rates) - 1 if rates else None
                if rates and rates[0] != 1:
                    faults.add("rates by position that do not begin with the anchor's 1.0", f"{place}: {rates[0]!r}")
                pooled: list[int] = []
                for index, sample in enumerate(held["per_sample"]):
                    at = f"{place} sample {index}"
                    lengths = counts(sample, "acceptance_lengths", at, faults) if isinstance(sample, dict) else None
                    if lengths is None or min(lengths, default=1) < 1:
                        faults.add("samples without acceptance_lengths that count the anchor", at)
                        continue
                    known = {"category": text(sample, "category"), "id": text(sample, "id", "index") or str(index)}
                    heat = number(sample, "temperature", at, faults)
                    requests.append({"request": len(requests), "temperature": heat, **known})
                    steps.turn(len(requests) - 1, 0, [length - 1 for length in lengths], drafted)
                    pooled += lengths
                for position, rate in enumerate(rates if pooled else []):
                    own = sum(length > position for length in pooled) / len(pooled)
                    if not isinstance(rate, int | float) or abs(rate - own) > 0.01:
                        kind = "rates by position that are not those of the samples"
                        faults.add(kind, f"{place} position {position}: {rate}, not {own:.3f}")
                if drafted is None:
                    notes.append(f"{file.path.name} does not say the block size: how far was drafted is not known.")
    return AcceptanceLog.of(named(files), faults, requests=requests, steps=steps, notes=notes)
