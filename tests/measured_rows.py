"""A made-up CSV of measured rows, written from the documented columns."""

from pathlib import Path

import numpy as np

from montecarlo.terms import Terms
from tests.synthetic_engine import CONCURRENCY, HARDWARE, TARGET, load, measured

HEADER = (
    "target,hardware,devices,drafter,text,source,concurrency,draft_length,tokens_per_step,tokens_per_step_error,"
    "prompt_tokens,output_tokens,step_seconds,seconds_per_token,tokens_per_second"
)
EMITTED = {0: 1.0, 1: 1.7, 3: 2.4}


def row(**given: object) -> str:
    """One line; what is not given stays as in a plain row without drafts."""
    cells = dict.fromkeys(HEADER.split(","), "") | {
        "target": TARGET,
        "hardware": HARDWARE,
        "devices": "1",
        "drafter": "eagle-3",
        "source": "made up",
        "concurrency": "8",
        "draft_length": "0",
        "step_seconds": "0.01",
    }
    return ",".join(str(value) for value in (cells | {name: value for name, value in given.items()}).values())


def engine(terms: Terms, sigma: float, seed: int) -> list[str]:
    """Lines of an engine of `terms` at 0, 1 and 3 drafts, every time off by a factor of its own."""
    random, lines = np.random.default_rng(seed), []
    for length, emitted in EMITTED.items():
        seen = measured(terms, load(length, emitted), sigma * random.standard_normal((2, CONCURRENCY.size)))
        for i, concurrency in enumerate(CONCURRENCY):
            lines.append(
                row(
                    concurrency=int(concurrency),
                    draft_length=length,
                    tokens_per_step=emitted,
                    prompt_tokens=2000,
                    output_tokens=500,
                    step_seconds=seen.step[i],
                    seconds_per_token=seen.token[i],
                    tokens_per_second=concurrency / seen.token[i],
                )
            )
    return lines


def write(path: Path, lines: list[str]) -> Path:
    """The file of these lines."""
    path.write_text("\n".join([HEADER, *lines]) + "\n", "utf-8")
    return path
