"""SGLang's meta_info of single requests (/generate), and the same fields returned by its OpenAI endpoint.

    spec_verify_ct                 verify steps
    spec_num_correct_drafts        accepted drafts, the bonus not counted (older: spec_accept_token_num)
    spec_num_proposed_drafts       drafts (older: spec_draft_token_num) = steps x (speculative_num_draft_tokens - 1):
                                   the server's setting counts the root of the draft tree, this does not
    spec_correct_drafts_histogram  [<= drafts + 1] steps that accepted exactly j drafts; trailing zeros are dropped
                                   (older: spec_accept_histogram)
    spec_proposed_drafts_histogram steps that drafted exactly j (newer)
    spec_accept_length             completion_tokens / spec_verify_ct: the bonus and the prefill's token counted
    speculative_decoding_stats     by step: verify_lengths (the root counted), accept_lengths (the bonus counted)

Source: python/sglang/srt/managers/tokenizer_manager.py; PRs 3152, 11144, 33518. With adaptive draft lengths the
histogram does not say how far a step had drafted. In a tree, drafts are nodes, more than it is deep.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog
from traces.faults import Faults
from traces.importers.acceptance import record
from traces.importers.acceptance.files import File, count, counts, holding, named, number, text, values

NAMES = {  # each field's newer name first
    "accepted": ("spec_num_correct_drafts", "spec_accept_token_num"),
    "drafted": ("spec_num_proposed_drafts", "spec_draft_token_num"),
    "histogram": ("spec_correct_drafts_histogram", "spec_accept_histogram"),
}


def detects(path: Path, head: str) -> bool:
    """By the count of verify steps, which every version returns."""
    return '"spec_verify_ct"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival by request; steps where the detailed statistics are there."""
    faults = Faults()
    flags, notes = set(), ["The last step of a request is in its histogram, cut or not."]
    records = []
    without = 0
    for file in files:
        for place, response in values(file, faults):
            found = list(holding(response, "spec_verify_ct"))
            without += not found
            for choice, held in enumerate(found):
                made = _record(held, response, file.group, f"{place} choice {choice}" if choice else place, faults)
                records.append(made)
                flags |= _flags(held, made)
    if without:
        notes.append(f"{without} responses without spec_verify_ct (no verify step) were left out.")
    if any(made.draft_length is None for made in records):
        notes.append("Where the drafts of a step are not recorded, depths end at the deepest that was accepted.")
    if not any(map(_chain, records)):
        flags.add("shape-unknown")
        notes.append("No step accepted all its drafts: they may be the nodes of a tree (topk above 1), not a chain.")
    return record.log(named(files), records, faults, flags=sorted(flags), notes=notes)


def _chain(made: record.Record) -> bool:
    """Whether some step accepted as many drafts as it had, which no branch of a tree can."""
    if made.step_accepted and made.step_drafted:
        return any(a == n > 0 for a, n in zip(made.step_accepted, made.step_drafted, strict=False))
    h, length = made.histogram, made.draft_length
    return bool(h and length and len(h) > length and h[length])


def _named(held: dict[str, Any], field: str) -> str:
    return next((name for name in NAMES[field] if held.get(name) is not None), NAMES[field][0])


def _flags(held: dict[str, Any], made: record.Record) -> set[str]:
    """Whether the lengths of drafts differ between steps, as far as the record shows."""
    uneven = made.drafted is not None and made.steps and made.drafted % made.steps
    proposed = held.get("spec_proposed_drafts_histogram")
    several = isinstance(proposed, list) and sum(map(bool, proposed)) > 1
    capped = isinstance(held.get("spec_cap_lens_histogram"), list) and any(held["spec_cap_lens_histogram"])
    return {"varying-length"} if made.step_drafted is None and (uneven or several or capped) else set()


def _record(held: dict[str, Any], response: Any, group: str, place: str, faults: Faults) -> record.Record:
    outer = response if isinstance(response, dict) else {}
    steps = count(held, "spec_verify_ct", place, faults)
    drafted = count(held, _named(held, "drafted"), place, faults)
    histogram = counts(held, _named(held, "histogram"), place, faults)
    completion = count(held, "completion_tokens", place, faults)
    mean = number(held, "spec_accept_length", place, faults)
    if mean is not None and completion and steps and abs(mean - completion / steps) > 0.006:
        faults.add(
            "values of spec_accept_length that are not completion_tokens / spec_verify_ct",
            f"{place}: {mean:g}, not {completion / steps:.4g}",
        )
    stats = held.get("speculative_decoding_stats")
    accept, verify = None, None
    if isinstance(stats, dict):
        accept = counts(stats, "accept_lengths", place, faults)
        verify = counts(stats, "verify_lengths", place, faults)
    for name, lengths in (("accept_lengths", accept), ("verify_lengths", verify)):
        if lengths and min(lengths) < 1:
            faults.add(f"lists {name} below 1; the bonus and the root are counted in them", place)
    length = _draft_length(held, steps, drafted, histogram)
    return record.Record(
        place=place,
        group=group,
        id=text(held, "id") or text(outer, "id", "rid"),
        category=text(outer, "category"),
        temperature=number(outer, "temperature", place, faults),
        prompt_tokens=count(held, "prompt_tokens", place, faults),
        steps=steps,
        accepted=count(held, _named(held, "accepted"), place, faults),
        drafted=drafted,
        draft_length=max(verify) - 1 if verify else length,
        histogram=histogram,
        step_accepted=[n - 1 for n in accept] if accept else None,
        step_drafted=[n - 1 for n in verify] if accept and verify else None,
    )


def _draft_length(held: dict[str, Any], steps: int | None, drafted: int | None, h: list[int] | None) -> int | None:
    """Drafts of every step where they are all alike, else None."""
    proposed = held.get("spec_proposed_drafts_histogram")
    if isinstance(proposed, list) and sum(map(bool, proposed)) == 1:
        return next(j for j, n in enumerate(proposed) if n)
    if not steps or not drafted or drafted % steps or (h and len(h) > drafted // steps + 1):
        return None
    return drafted // steps
