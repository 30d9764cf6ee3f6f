"""NVIDIA's specdec_bench (Model-Optimizer examples/specdec_bench, metrics/acceptance_rate.py): one JSON object.

Acceptance_Length_Histogram   {tokens emitted in an iteration: iterations}, the BONUS COUNTED
Conditional_Acceptance_Rate   {tokens: P(L >= tokens | L >= the one before)}: hazards; the entry of 1 is 1.0
Joint_Acceptance_Rate         survival; its entry of 1 is 1.0 too
Average_AL, Request_AL        means over turns of requests, each turn alike however long: not weighted by steps
Category_AL                   {category: the same mean}
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, counts, holding, named, number, text, values

HISTOGRAM = "Acceptance_Length_Histogram"


def detects(path: Path, head: str) -> bool:
    """By the histogram's name."""
    return f'"{HISTOGRAM}"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival from the histogram; means by category."""
    faults = Faults()
    curves: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    notes = ["The draft length is not recorded: depths end at the deepest that was accepted."]
    for file in files:
        for place, whole in values(file, faults):
            for held in holding(whole, HISTOGRAM):
                emitted = counts(held, HISTOGRAM, place, faults)
                if not emitted or not sum(emitted[1:]):
                    faults.add("histograms without an iteration", place)
                    continue
                if emitted[0]:
                    notes.append(f"{place}: {emitted[0]} iterations that emitted nothing were left out.")
                at_least = list(accumulate(reversed(emitted[1:])))[::-1]
                _check(held, at_least, place, faults)
                curves += survival_rows(at_least[1:] or [0], at_least[0], group=file.group)
                categories = held["Category_AL"] if isinstance(held.get("Category_AL"), dict) else {}
                for category, mean in categories.items():
                    known = {"group": file.group, "category": text({"name": category}, "name")}
                    tokens = number({"Category_AL": mean}, "Category_AL", place, faults)
                    means.append({**known, "tokens_per_step": tokens})
    if means:
        notes.append("Means by category weight every turn alike, however many steps it took.")
    return AcceptanceLog.of(named(files), faults, curves=curves, means=means, notes=notes)


def _check(held: dict[str, Any], at_least: list[int], place: str, faults: Faults) -> None:
    """The hazards of the file are those of its histogram, over the lengths that are in it."""
    rates = held.get("Conditional_Acceptance_Rate")
    if not isinstance(rates, dict):
        return
    before = at_least[0]
    for length in sorted((name for name in rates if str(name).isdecimal()), key=int):
        given, at = number(rates, length, place, faults), int(length)
        if 1 <= at <= len(at_least) and before:
            if given is not None and abs(given - at_least[at - 1] / before) > 1e-3:
                faults.add(
                    "conditional rates that are not those of the histogram",
                    f"{place}: {given:g} at {length}, not {at_least[at - 1] / before:.4g}",
                )
            before = at_least[at - 1]
