"""One request's acceptance record, as engines return it: totals, a histogram, perhaps a list of steps.

With h[j] the steps that accepted exactly j drafts (the bonus never counted):

    sum h = steps,  sum j h[j] = accepted,  S(d) = sum over j >= d of h[j], divided by steps

A list may end before the draft length: depths nothing reached have survival 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from traces.acceptance_log import DEEPEST, AcceptanceLog, Steps, survival_rows
from traces.faults import Faults


@dataclass(frozen=True)
class Record:
    """What is known of one request; None where the source does not say.

    draft_length: drafts of every step, where they are all alike or, with `step_drafted`, the most of any.
    """

    place: str
    group: str
    id: str | None = None
    category: str | None = None
    temperature: float | None = None
    prompt_tokens: int | None = None
    steps: int | None = None
    accepted: int | None = None
    drafted: int | None = None
    draft_length: int | None = None
    histogram: Sequence[int] | None = None
    step_accepted: Sequence[int] | None = None
    step_drafted: Sequence[int] | None = None


def check(record: Record, faults: Faults) -> None:
    """Every pair of figures that must agree."""
    h, listed = record.histogram, record.step_accepted
    deep = record.step_drafted

    def agree(kind: str, one: int | None, other: int | None) -> None:
        if one is not None and other is not None and one != other:
            faults.add(kind, f"{record.place}: {one}, not {other}")

    if h is not None:
        agree("histograms that do not sum to the verify steps", sum(h), record.steps)
        total = sum(j * n for j, n in enumerate(h))
        agree("histograms whose accepted drafts are not the total", total, record.accepted)
        if record.draft_length is not None and any(h[record.draft_length + 1 :]):
            faults.add("histograms that reach beyond the draft length", f"{record.place}: {list(h)}")
    if listed is not None:
        agree("lists of accepted drafts that are not as long as the verify steps", len(listed), record.steps)
        agree("lists of accepted drafts that do not sum to the total", sum(listed), record.accepted)
        if h is not None:
            own = [0] * max(len(h), max(listed, default=0) + 1)
            for accepted in listed:
                own[accepted] += 1
            if own != [*h, *[0] * (len(own) - len(h))]:
                faults.add("histograms that are not those of the listed steps", f"{record.place}: {list(h)}")
    if deep is not None:
        agree("lists of drafts that are not as long as the verify steps", len(deep), record.steps)
        agree("lists of drafts that do not sum to the total", sum(deep), record.drafted)
        agree("lists of drafts that are not as long as those of accepted drafts", len(deep), len(listed or ()))
    if record.drafted is not None and record.accepted is not None and record.accepted > record.drafted:
        faults.add("requests that accepted more than was drafted", f"{record.place}: {record.accepted}")


def varies(record: Record) -> bool:
    """Whether draft lengths differ between steps without a list that says which had which."""
    if record.step_drafted is not None or record.draft_length is None or record.drafted is None:
        return False
    return record.drafted != (record.steps or 0) * record.draft_length


def log(
    source: str, records: Sequence[Record], faults: Faults, *, flags: Sequence[str], notes: Sequence[str]
) -> AcceptanceLog:
    """The log of these records; raises InputError with all their faults."""
    requests: list[dict[str, Any]] = []
    steps, curves, means = Steps(), [], []
    seen: dict[tuple[str, str], str] = {}
    empty = varying = 0
    for record in records:
        deepest = max(record.draft_length or 0, *(record.step_accepted or ()), 0)
        if deepest > DEEPEST:
            faults.add(f"requests drafted deeper than {DEEPEST}", f"{record.place}: {deepest}")
            continue
        check(record, faults)
        if record.id is not None:
            first = seen.setdefault((record.group, record.id), record.place)
            if first != record.place:
                faults.add("requests that are there twice", f"{record.id} at {first} and {record.place}")
        if record.steps == 0:
            empty += 1
            continue
        request = len(requests)
        names = ("id", "category", "temperature", "prompt_tokens")
        requests.append({"request": request} | {name: getattr(record, name) for name in names})
        known = {name: getattr(record, name) for name in ("group", "category", "temperature", "draft_length")}
        known["request"] = request
        varying += varies(record)
        if record.step_accepted is not None:
            deep: Sequence[int] | int | None = None if varies(record) else record.draft_length
            if record.step_drafted is not None and len(record.step_drafted) == len(record.step_accepted):
                deep = record.step_drafted
            steps.turn(request, 0, record.step_accepted, deep)
        elif record.histogram is not None and any(record.histogram):
            depths = record.draft_length or max(len(record.histogram) - 1, 1)  # where not known, at least one draft
            at_least = list(accumulate(reversed(record.histogram)))[::-1][1:]
            at_least += [0] * (depths - len(at_least))
            curves += survival_rows(at_least[:depths], sum(record.histogram), **known)
        else:
            tokens = None
            if record.steps and record.accepted is not None:
                tokens = 1 + record.accepted / record.steps
            totals = {name: getattr(record, name) for name in ("steps", "drafted", "accepted")}
            means.append({**known, **totals, "tokens_per_step": tokens})
    said = list(notes)
    if empty:
        said.append(f"{empty} requests without a verify step were left out.")
    if varying:
        said.append(f"In {varying} requests draft lengths vary and are not recorded by step.")
    flagged = [*flags, *(["varying-length"] if varying else [])]
    return AcceptanceLog.of(
        source, faults, requests=requests, steps=steps, curves=curves, means=means, flags=flagged, notes=said
    )
