"""SGLang's server log: `Decode batch. #running-req: 8, ..., accept len: 2.84, accept rate: 0.61, ...`.

accept len is tokens per step, the bonus counted, a mean over requests and the interval; counts are not printed.
speculative_num_draft_tokens of the start-up line counts the root, so a chain drafts one less: speculative_num_steps.
Source: python/sglang/srt/managers/scheduler_metrics_mixin.py and server_args.py.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog
from traces.faults import Faults
from traces.importers.acceptance.files import File, named

LINE = re.compile(r"Decode batch.*?#running-req: (\d+).*?accept len(?:gth)?: (\d+(?:\.\d+)?)")


def detects(path: Path, head: str) -> bool:
    """By a decode line with an accept length."""
    return LINE.search(head) is not None


def read(files: Sequence[File]) -> AcceptanceLog:
    """One mean per file: of its decode lines, each weighted by the requests that were running."""
    faults = Faults()
    flags, notes, means = {"approximate"}, [], []
    for file in files:
        lines = [(int(requests), float(tokens)) for requests, tokens in LINE.findall(file.text)]
        running = sum(requests for requests, _ in lines)
        if not running:
            faults.add("logs without a decode line of a running request", str(file.path))
            continue
        length, tree = _draft_length(file.text)
        flags |= tree
        if length is None:
            notes.append(f"{file.path.name} does not say the draft length: its start-up line (server_args) is missing.")
        tokens = sum(requests * tokens for requests, tokens in lines) / running
        means.append({"group": file.group, "draft_length": length, "tokens_per_step": tokens})
        notes.append(f"{file.path.name}: mean of {len(lines)} decode lines, each weighted by its running requests.")
    return AcceptanceLog.of(named(files), faults, means=means, flags=flags, notes=notes)


def _draft_length(log: str) -> tuple[int | None, set[str]]:
    """Drafts per step of the start-up line, and what it says of their shape."""

    def setting(name: str) -> Any:
        found = re.search(rf"speculative_{name}[\"']?\s*[=:]\s*(\d+)", log)
        return int(found[1]) if found else None

    steps, nodes, topk = setting("num_steps"), setting("num_draft_tokens"), setting("eagle_topk")
    if topk is not None and topk > 1:
        return steps, {"tree"}
    return (nodes - 1 if steps is None and nodes else steps), set()
