"""llama.cpp's server log (tools/server, PR 24536; common/speculative.cpp) and the timings of its responses.

    task 7 | draft acceptance = 0.64479 ( 167 accepted / 259 generated), mean acceptance length = 2.92,
             acceptance rate per position = (0.805, 0.632, 0.483)           of one request
    statistics draft-eagle3: ... #gen drafts = 87, ... #gen tokens = 259, #acc tokens = 167, ...,
             #acc rate/pos = (0.805, 0.632, 0.483), ...                     of one drafter since the server's start
    "timings": {"draft_n": 259, "draft_n_accepted": 167, ...}               of one response

The mean is 1 + accepted / drafts, the bonus counted; rates by position are shares of all drafts (survival), though
drafts end early where the drafter is unsure (p_min). Older lines end after `generated)`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, count, holding, named, values

REQUEST = re.compile(
    r"(?:task\s+(\d+)\b.*?)?draft acceptance(?: rate)? =\s*[\d.]+\s*\(\s*(\d+) accepted /\s*(\d+) generated\)"
    r"(?:, mean acceptance length =\s*(\d+(?:\.\d+)?), acceptance rate per position = \(([^)]*)\))?"
)
STATISTICS = re.compile(
    r"statistics\s+(\S+?):.*?#gen drafts =\s*(\d+).*?#gen tokens =\s*(\d+).*?#acc tokens =\s*(\d+)"
    r".*?#acc rate/pos = \(([^)]*)\)"
)


def detects(path: Path, head: str) -> bool:
    """By a line of a request or of a drafter, or by the timings of a response."""
    return '"draft_n_accepted"' in head or REQUEST.search(head) is not None or STATISTICS.search(head) is not None


def read(files: Sequence[File]) -> AcceptanceLog:
    """Requests where the source has them, else the drafters' totals."""
    faults = Faults()
    requests: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    flags: set[str] = set()
    for file in files:
        if '"draft_n_accepted"' in file.text:
            _timings(file, requests, means, faults)
        elif REQUEST.search(file.text):
            flags |= _requests(file, requests, curves, means, faults)
        else:
            flags |= _statistics(file, curves, faults)
    notes = []
    if "approximate" in flags:
        notes.append(
            "Verify steps of a request are recovered from its rounded mean, or from its drafts where none was accepted."
        )
    if any(row.get("steps") is None for row in means):
        notes.append("Some requests give accepted and drafted tokens only, not how many verify steps they took.")
    return AcceptanceLog.of(
        named(files), faults, requests=requests, curves=curves, means=means, flags=flags, notes=notes
    )


def _rates(printed: str) -> list[float]:
    return [float(rate) for rate in re.findall(r"\d+(?:\.\d+)?", printed)]


def _requests(file: File, requests: list[Any], curves: list[Any], means: list[Any], faults: Faults) -> set[str]:
    flags: set[str] = set()
    for line, content in enumerate(file.text.splitlines(), 1):
        found = REQUEST.search(content)
        if not found:
            continue
        name, accepted, drafted = found[1], int(found[2]), int(found[3])
        request = len(requests)
        requests.append({"request": request, "id": name})
        known: dict[str, Any] = {"group": file.group, "request": request}
        if found[4] is None:  # an older line
            means.append({**known, "accepted": accepted, "drafted": drafted})
            continue
        rates, mean = _rates(found[5]), float(found[4])
        if accepted:
            steps = round(accepted / (mean - 1)) if mean > 1 else 0
        else:  # a mean of 1.00 hides the steps: as few as the drafts need, for they must not be missing from the whole
            steps = -(-drafted // len(rates)) if rates else 0
        if not steps:
            faults.add("lines whose mean does not fit their accepted drafts", f"{file.path.name} line {line}: {mean:g}")
            continue
        counts = [round(rate * steps) for rate in rates]
        if abs(sum(rates) - (mean - 1)) > 0.006 + 0.0006 * len(rates):
            faults.add(
                "lines whose rates by position do not sum to the mean (are they hazards?)",
                f"{file.path.name} line {line}: {sum(rates):.3f}, not {mean - 1:.2f}",
            )
        flags |= {"approximate"} | ({"varying-length"} if drafted != steps * len(rates) else set())
        curves += survival_rows(counts, steps, draft_length=len(rates), **known)
    return flags


def _statistics(file: File, curves: list[Any], faults: Faults) -> set[str]:
    """Totals run since the server's start: the last line before each fall (a restart) and the last of all count."""
    lines: dict[str, list[tuple[int, int, int, list[float]]]] = {}
    flags: set[str] = set()
    for name, drafts, drafted, accepted, rates in STATISTICS.findall(file.text):
        lines.setdefault(name, []).append((int(drafts), int(drafted), int(accepted), _rates(rates)))
    for name, all_of in lines.items():
        ends = [before for before, after in pairwise(all_of) if after[0] < before[0]] + [all_of[-1]]
        steps = sum(end[0] for end in ends)
        length = max(len(end[3]) for end in ends)
        counts = [sum(round(e[3][d] * e[0]) for e in ends if d < len(e[3])) for d in range(length)]
        accepted = sum(end[2] for end in ends)
        if abs(sum(counts) - accepted) > length * (0.0005 * steps + 0.5 * len(ends)):
            faults.add(
                "drafters whose rates by position do not sum to the accepted tokens", f"{file.path.name}: {name}"
            )
        if sum(end[1] for end in ends) != steps * length:
            flags.add("varying-length")
        if steps:
            curves += survival_rows(counts, steps, group=f"{file.group} {name}", draft_length=length)
    return flags


def _timings(file: File, requests: list[Any], means: list[Any], faults: Faults) -> None:
    for place, response in values(file, faults):
        for timings in holding(response, "draft_n_accepted"):
            request = len(requests)
            requests.append({"request": request, "prompt_tokens": count(timings, "prompt_n", place, faults)})
            accepted = count(timings, "draft_n_accepted", place, faults)
            drafted = count(timings, "draft_n", place, faults)
            means.append({"group": file.group, "request": request, "accepted": accepted, "drafted": drafted})
