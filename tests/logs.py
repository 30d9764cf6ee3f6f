"""The three step logs of Spec-Bench in the shared data, as logs of steps."""

import json
from pathlib import Path

from traces.step_log import StepLog

# file, depth of its tree
LOGS = {
    "eagle-1": ("specbench-vicuna7b-eagle1.jsonl", 5),
    "medusa": ("mtbench-vicuna7b-medusa.jsonl", 4),
    "hydra": ("queryrank-vicuna7b-hydra.jsonl", 4),
}


def spec_bench(folder: Path, name: str) -> StepLog:
    """One of LOGS: `accept_lengths` counts the bonus; `decoding_steps` cuts it into turns, whose last step is cut."""
    file, depth = LOGS[name]
    columns: dict[str, list[int]] = {"request": [], "turn": [], "accepted": [], "cut": []}
    for request, line in enumerate((folder / "acceptance" / file).read_text("utf-8").splitlines()):
        question = json.loads(line)
        for turn, steps in enumerate(question["decoding_steps"]):
            first = sum(question["decoding_steps"][:turn])
            columns["request"] += [request] * steps
            columns["turn"] += [turn] * steps
            columns["accepted"] += [tokens - 1 for tokens in question["accept_lengths"][first : first + steps]]
            columns["cut"] += [0] * (steps - 1) + [1] * (steps > 0)
    return StepLog.of(drafted=depth, **columns)
