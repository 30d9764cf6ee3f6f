"""Trace folders with known content, written through the store's writer, to be described."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from traces.acceptance_log import AcceptanceLog, Steps
from traces.describe import describe
from traces.faults import Faults
from traces.request import DECODE, Reading, Request, Shape
from traces.writer import Writer


def routed(folder: Path, requests: Sequence[np.ndarray], experts: int, **known: Any) -> Path:
    """A folder of decode tokens, ids [tokens, layers, top_k] by request; known: lists of fields of Request."""
    layers, top_k = requests[0].shape[1:]
    with Writer(folder, Reading(shape=Shape(layers, experts, top_k, layers))) as trace:
        for number, ids in enumerate(requests):
            given = {name: values[number] for name, values in known.items()}
            phase = given.pop("phase", np.full(len(ids), DECODE, np.int8))
            trace.add(Request(ids=ids, phase=phase, place=f"request {number}", **given))
        trace.seal({"format": "made up", "model": None, **trace.experts("made up")})
    return folder


def stepped(folder: Path, log: AcceptanceLog) -> Path:
    """A folder of acceptance."""
    with Writer(folder, Reading()) as trace:
        trace.seal({"format": "made up", "model": None, **trace.acceptance(log, "made up")})
    return folder


def logged(
    turns: Sequence[Sequence[Sequence[int]]],
    drafted: int | Sequence[Sequence[Sequence[int]]] | None = 5,
    *,
    cut: bool = True,
    **known: Sequence[Any],
) -> AcceptanceLog:
    """A log of accepted drafts by request and turn; `known`: fields of the requests. cut: whether last steps may be."""
    steps = Steps()
    for request, of in enumerate(turns):
        for turn, accepted in enumerate(of):
            deep = drafted if isinstance(drafted, int) or drafted is None else drafted[request][turn]
            steps.turn(request, turn, list(accepted), deep)
    if not cut:
        steps.columns["cut"] = [False] * len(steps.columns["cut"])
    rows = [
        {"request": number, "id": f"r{number}", **{name: values[number] for name, values in known.items()}}
        for number in range(len(turns))
    ]
    return AcceptanceLog.of("made up", Faults(), requests=rows, steps=steps)


def described(folder: Path) -> dict[str, pl.DataFrame]:
    return describe(folder)
