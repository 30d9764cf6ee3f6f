"""TensorRT-LLM's iteration statistics (LLM.get_stats, GET /metrics with enable_iter_perf_stats), one JSON line each.

specDecodingStats of an iteration, over the requests of its batch:

    numRequestsWithDraftTokens       verify steps
    numDraftTokens, numAcceptedTokens
    acceptanceLength                 (accepted + requests) / requests: tokens per step, the bonus counted
    iterLatencyMS, draftOverhead     of drafting only, not of the step

With attention data parallelism every rank repeats rank 0's statistics; only rank 0 counts. Acceptance can be forced by
TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS (drafts, one less than the emitted tokens), which leaves no mark here but its
constancy. Source: tensorrt_llm/executor (IterationStats).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog
from traces.faults import Faults
from traces.importers.acceptance.files import File, count, named, number, values

CONSTANT_ITERATIONS = 20  # from here on, the same ratio every time is no accident


def detects(path: Path, head: str) -> bool:
    """By the name of the statistics."""
    return '"specDecodingStats"' in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Totals by file: how the accepted drafts of an iteration spread over its requests is not recorded."""
    faults = Faults()
    means, flags, notes = [], set(), []
    for file in files:
        totals, ratios, lengths = [0, 0, 0], set(), set()
        iterations = repeated = 0
        chain = False
        for place, row in values(file, faults):
            stats = row.get("specDecodingStats") if isinstance(row, dict) else None
            if not isinstance(stats, dict) or not stats.get("numDraftTokens"):
                continue
            if row.get("attentionDpRank", 0) != 0:
                repeated += 1
                continue
            found = _iteration(stats, place, faults)
            if found is None:
                continue
            iterations += 1
            totals = [total + n for total, n in zip(totals, found, strict=True)]
            requests, drafted, accepted = found
            ratios.add((accepted / requests, 0 < accepted < drafted))
            lengths.add(drafted / requests)
            chain |= accepted == drafted
        length = int(max(lengths)) if len(lengths) == 1 and max(lengths).is_integer() else None
        if length is None and lengths:
            flags.add("varying-length")
        if iterations >= CONSTANT_ITERATIONS and len(ratios) == 1 and next(iter(ratios))[1]:
            flags.add("suspected-synthetic")
        if iterations and not chain:
            flags.add("shape-unknown")  # no iteration accepted every draft: they may be nodes of trees
        if iterations:
            requests, drafted, accepted = totals
            known = {"group": file.group, "draft_length": length, "tokens_per_step": 1 + accepted / requests}
            means.append({**known, "steps": requests, "drafted": drafted, "accepted": accepted})
        if repeated:
            notes.append(f"{file.path.name}: {repeated} rows of other attention ranks repeat rank 0 and were left out.")
    return AcceptanceLog.of(named(files), faults, means=means, flags=flags, notes=notes)


def _iteration(stats: dict[str, Any], place: str, faults: Faults) -> tuple[int, int, int] | None:
    """(requests, drafted, accepted) of an iteration, if it is whole."""
    requests, drafted, accepted = (
        count(stats, name, place, faults)
        for name in ("numRequestsWithDraftTokens", "numDraftTokens", "numAcceptedTokens")
    )
    if not requests or drafted is None or accepted is None:
        faults.add("iterations with drafts but without counts of requests and accepted tokens", place)
        return None
    tokens = number(stats, "acceptanceLength", place, faults)
    if tokens is not None and abs(tokens - 1 - accepted / requests) > 0.006:
        faults.add(
            "values of acceptanceLength that are not (accepted + requests) / requests",
            f"{place}: {tokens:g}, not {1 + accepted / requests:.4g}",
        )
    return requests, drafted, accepted
