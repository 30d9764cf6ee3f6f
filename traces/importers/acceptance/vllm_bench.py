"""`vllm bench serve --save-result` (vllm/benchmarks/serve.py); also Modular MAX's and vllm-omni's, by the same keys.

spec_decode_acceptance_rate                 accepted / drafted in PERCENT
spec_decode_acceptance_length               tokens per step, the bonus counted
spec_decode_num_drafts                      verify steps of single requests
spec_decode_draft_tokens, spec_decode_accepted_tokens
spec_decode_per_position_acceptance_rates   [draft length] FRACTIONS of the verify steps: survival
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, count, holding, named, number, values

KEY = "spec_decode_num_drafts"


def detects(path: Path, head: str) -> bool:
    """By the benchmark's own names."""
    return f'"{KEY}"' in head or '"spec_decode_acceptance_length"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival over a benchmark's run, with the counts it was a share of."""
    faults = Faults()
    curves: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    flags: set[str] = set()
    for file in files:
        runs = [(place, run) for place, found in values(file, faults) for run in holding(found, KEY)]
        for number_of, (place, run) in enumerate(runs, 1):
            group = file.group if len(runs) == 1 else f"{file.group} {number_of}"
            flags |= _run(run, group, place, curves, means, faults)
        if not runs:
            faults.add("files without spec_decode_num_drafts (vLLM wrote no counts)", str(file.path))
    notes = ["A benchmark of random tokens distorts acceptance; the file does not name its data set."]
    return AcceptanceLog.of(named(files), faults, curves=curves, means=means, flags=flags, notes=notes)


def _run(run: dict[str, Any], group: str, place: str, curves: list[Any], means: list[Any], faults: Faults) -> set[str]:
    steps, drafted, accepted = (
        count(run, f"spec_decode_{name}", place, faults) for name in ("num_drafts", "draft_tokens", "accepted_tokens")
    )
    percent = number(run, "spec_decode_acceptance_rate", place, faults)
    tokens = number(run, "spec_decode_acceptance_length", place, faults)
    rates = run.get("spec_decode_per_position_acceptance_rates") or []
    if not steps or drafted is None or accepted is None:
        faults.add("runs without counts of drafts and accepted drafts", f"{place}: {steps} drafts")
        return set()
    if percent is not None and drafted and abs(percent - 100 * accepted / drafted) > 0.1:
        faults.add(
            "values of spec_decode_acceptance_rate that are not accepted / drafted in percent",
            f"{place}: {percent:g}, not {100 * accepted / drafted:.4g}",
        )
    if tokens is not None and abs(tokens - 1 - accepted / steps) > 0.01:
        faults.add(
            "values of spec_decode_acceptance_length that are not 1 + accepted / drafts",
            f"{place}: {tokens:g}, not {1 + accepted / steps:.4g}",
        )
    length = len(rates) or None
    totals = {"steps": steps, "drafted": drafted, "accepted": accepted, "tokens_per_step": 1 + accepted / steps}
    means.append({"group": group, "draft_length": length, **totals})
    if length is None:
        return set()
    if not all(isinstance(rate, int | float) and 0 <= rate <= 1 for rate in rates):
        faults.add("lists of rates by position that are no fractions", f"{place}: {rates}")
        return set()
    at_least = [round(rate * steps) for rate in rates]
    if abs(sum(at_least) - accepted) > 0.005 * steps * length:
        faults.add(
            "lists of rates by position that do not sum to accepted / drafts (are they hazards?)",
            f"{place}: {sum(rates):.4g}, not {accepted / steps:.4g}",
        )
    curves += survival_rows(at_least, steps, group=group, draft_length=length)
    return set() if drafted == steps * length else {"varying-length"}
