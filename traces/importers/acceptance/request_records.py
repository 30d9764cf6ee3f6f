"""Per-request acceptance records with a histogram: vLLM, AIPerf, TensorRT-LLM.

vLLM (`--per-request-spec-decode-metrics summary|detailed`; docs/features/per_request_spec_decode_metrics.md, PR 48915)
puts under `metrics.speculative_decoding` of a response, when streaming of its last chunk:

    acceptance_histogram [num_spec_tokens + 1]   steps that accepted exactly j drafts, the bonus not counted
    mean_acceptance_length                       1 + num_accepted_draft_tokens / num_spec_steps: the bonus counted
    num_spec_steps num_accepted_draft_tokens num_draft_tokens num_spec_tokens
    per_step_accepted per_step_drafted           [num_spec_steps], `detailed` only; drafted can be below num_spec_tokens

The object is null for n > 1 and where nothing was drafted. AIPerf's profile_export.jsonl (PR 1191) holds the same
fields with the histogram keyed by accepted drafts; TensorRT-LLM's has no mean.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog
from traces.faults import Faults
from traces.importers.acceptance import record
from traces.importers.acceptance.files import File, count, counts, holding, named, number, text, values


def detects(path: Path, head: str) -> bool:
    """By the names of the histogram and of the steps, which only these records carry together."""
    return '"acceptance_histogram"' in head and '"num_spec_steps"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Steps of detailed records, survival of the others, by request."""
    faults = Faults()
    records = []
    without = 0
    for file in files:
        for place, response in values(file, faults):
            found = list(holding(response, "acceptance_histogram", "num_spec_steps"))
            without += not found and isinstance(response, dict) and not _part_of_a_stream(response)
            for choice, held in enumerate(found):
                suffix = f"/{choice}" if len(found) > 1 else ""
                records.append(_record(held, response, file.group, place, suffix, faults))
    notes = ["The last step of every request may have been cut at the end of its text."]
    if without:
        notes.append(f"{without} responses without a record (n > 1, or nothing drafted) were left out.")
    return record.log(named(files), records, faults, flags=(), notes=notes)


def _part_of_a_stream(response: dict[str, Any]) -> bool:
    return str(response.get("object", "")).endswith("chunk")


def _record(held: dict[str, Any], response: Any, group: str, place: str, suffix: str, faults: Faults) -> record.Record:
    outer = response if isinstance(response, dict) else {}
    metadata = outer.get("metadata") if isinstance(outer.get("metadata"), dict) else {}
    usage = outer.get("usage") if isinstance(outer.get("usage"), dict) else {}
    name = text(outer, "id", "request_id", "x_request_id") or text(metadata or {}, "x_request_id", "request_id")
    made = record.Record(
        place=place,
        group=group,
        id=None if name is None else name + suffix,
        category=text(outer, "category") or text(metadata or {}, "category"),
        temperature=number(outer, "temperature", place, faults),
        prompt_tokens=count(usage or {}, "prompt_tokens", place, faults),
        steps=count(held, "num_spec_steps", place, faults),
        accepted=count(held, "num_accepted_draft_tokens", place, faults),
        drafted=count(held, "num_draft_tokens", place, faults),
        draft_length=count(held, "num_spec_tokens", place, faults),
        histogram=counts(held, "acceptance_histogram", place, faults),
        step_accepted=counts(held, "per_step_accepted", place, faults),
        step_drafted=counts(held, "per_step_drafted", place, faults),
    )
    mean = number(held, "mean_acceptance_length", place, faults)
    if mean is not None and made.steps and made.accepted is not None:
        expected = 1 + made.accepted / made.steps
        if abs(mean - expected) > 0.006:  # two decimals where a tool rounded it
            faults.add(
                "values of mean_acceptance_length that are not 1 + accepted / steps",
                f"{place}: {mean:g}, not {expected:.4g}",
            )
    return made
