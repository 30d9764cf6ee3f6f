"""vLLM's log lines, one per interval (vllm/v1/spec_decode/metrics.py):

    SpecDecoding metrics: Mean acceptance length: 3.28, ..., Accepted: 456 tokens, Drafted: 600 tokens,
    Per-position acceptance rate: 0.938, 0.769, 0.572, Avg Draft acceptance rate: 76.0%

The mean counts the bonus; rates by position are shares of all verify steps (survival). The steps are not printed: they
are drafted / k where the mean agrees, else accepted / (mean - 1), rounded figures both. Before 0.11 the lines had only
`Draft acceptance rate: 100.0%, Accepted: 66 tokens, Drafted: 66 tokens`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, named

COUNTS = re.compile(r"Accepted: (\d+) tokens, Drafted: (\d+) tokens")
MEAN = re.compile(r"Mean acceptance length: (\d+(?:\.\d+)?)")
POSITIONS = re.compile(r"Per-position acceptance rate: ((?:\d+(?:\.\d+)?(?:, |\b))+)")


def detects(path: Path, head: str) -> bool:
    """By the words that begin such a line."""
    return "SpecDecoding metrics:" in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival over all lines of a file with as many positions; means of older lines."""
    faults = Faults()
    curves, means, flags, notes = [], [], {"approximate"}, []
    for file in files:
        pooled: dict[int, list[list[int]]] = defaultdict(list)  # by draft length: steps, then those at each depth
        old = [0, 0, 0]
        for line, content in enumerate(file.text.splitlines(), 1):
            if "SpecDecoding metrics:" not in content:
                continue
            totals, mean, rates = COUNTS.search(content), MEAN.search(content), POSITIONS.search(content)
            place = f"{file.path.name} line {line}"
            if totals is None:
                faults.add("lines without counts of accepted and drafted tokens", place)
                continue
            accepted, drafted = int(totals[1]), int(totals[2])
            if mean is None or rates is None:
                old = [old[0] + 1, old[1] + accepted, old[2] + drafted]
                continue
            shares = [float(rate) for rate in rates[1].rstrip(", ").split(", ")]
            steps, alike = _steps(accepted, drafted, len(shares), float(mean[1]))
            counts = [round(share * steps) for share in shares]
            if abs(sum(counts) - accepted) > len(shares) * (0.5 + 0.0005 * steps) + 0.006 * steps:
                faults.add(
                    "lines whose rates by position do not sum to the mean (are they hazards?)",
                    f"{place}: {sum(shares):.3f}, not {float(mean[1]) - 1:.2f}",
                )
            if not alike:
                flags.add("varying-length")
            if steps:
                pooled[len(shares)].append([steps, *counts])
        for length, lines in pooled.items():
            steps, *counts = (sum(column) for column in zip(*lines, strict=True))
            curves += survival_rows(counts, steps, group=file.group, draft_length=length)
            notes.append(f"{file.path.name}: {steps} steps recovered from the rounded figures of {len(lines)} lines.")
        if old[0]:
            means.append({"group": file.group, "accepted": old[1], "drafted": old[2]})
            notes.append(f"{file.path.name}: {old[0]} lines of an older vLLM, without steps: an acceptance rate only.")
    return AcceptanceLog.of(named(files), faults, curves=curves, means=means, flags=flags, notes=notes)


def _steps(accepted: int, drafted: int, length: int, mean: float) -> tuple[int, bool]:
    """Verify steps of a line, and whether every step can have drafted `length`."""
    steps = drafted // length
    if drafted == steps * length and (not steps or abs(1 + accepted / steps - mean) <= 0.0051):
        return steps, True
    return (round(accepted / (mean - 1)) if mean > 1 else steps), False
