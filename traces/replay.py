"""A stored trace as a text to replay: a trace folder, or a file of the npz layout."""

import os
from pathlib import Path

import numpy as np
import polars as pl

from montecarlo.errors import InputError
from montecarlo.text import Text
from traces import npz
from traces.store import Trace


def read(path: Path, *, layers: int = 0, experts: int = 0, top_k: int = 0) -> tuple[Text, list[str]]:
    """The text of a trace folder or npz file for a target of this shape (0: any), and what was left out."""
    if os.path.isdir(path):
        return text(path, layers=layers, experts=experts, top_k=top_k)
    return npz.read(path, layers=layers, experts=experts, top_k=top_k), []


def digest(path: Path) -> str:
    """SHA-256 of what is replayed, in hexadecimal."""
    return Trace.open(path).digest if os.path.isdir(path) else npz.digest(path)


def text(folder: Path, *, layers: int = 0, experts: int = 0, top_k: int = 0) -> tuple[Text, list[str]]:
    """Text over the memory map: of each request its longest stretch of decode tokens with all their experts.

    One stretch a request, so that requests stay the clusters. Where the source tells no phase, all tokens count.
    Raises InputError with everything that keeps the trace from being replayed.
    """
    trace = Trace.open(folder)
    if not trace.has("experts"):
        held = "popularity only (counts)" if trace.has("counts") else "no routing"
        raise InputError(f"trace {folder} holds {held}; a replay needs the experts of every token")
    ids, info = trace.experts, trace.info
    faults = []
    for has, wants, what in (
        (ids.shape[1], layers, "layers, the target {} MoE layers"),
        (ids.shape[2], top_k, "experts per token, the target top_k {}"),
    ):
        if wants and has != wants:
            faults.append(f"it has {has} {what.format(wants)}")
    if experts and (info["experts"] > experts or (info["experts_known"] and info["experts"] != experts)):
        faults.append(f"it has {info['experts']} experts, the target {experts}")
    tokens = trace.frame("tokens").select("request", pl.col("phase").to_physical(), "captured").collect()
    if len(tokens) != len(ids):
        faults.append(f"it has {len(tokens):,} rows of tokens and {len(ids):,} rows of experts; import it again")
    phase, notes = tokens["phase"], []
    silent = phase.null_count()
    if silent:
        notes.append("The trace does not tell prompt from decode everywhere: such tokens are replayed as decode.")
    usable = (phase == 1).fill_null(True) & tokens["captured"]
    start, length = _stretches(tokens["request"].to_numpy(), usable.to_numpy())
    requests = int(info["requests"])
    if not len(start):
        held = ", ".join(
            f"{n:,} {name}" for name, n in (("prompt", (phase == 0).sum()), ("verify", (phase == 2).sum()))
        )
        faults.append(f"it has no decode token with all its experts ({held}, {_lacking(tokens):,} lacking experts)")
    if faults:
        raise InputError(f"trace {folder}: {'; '.join(faults)}")
    if len(start) < requests:
        notes.append(f"{requests - len(start):,} of the trace's {requests:,} requests have no token to replay.")
    left = int(usable.sum() - length.sum())
    if left:
        notes.append(f"{left:,} tokens of requests with missing rows are left out: the longest stretch is replayed.")
    return Text(ids, start, length), notes


def _lacking(tokens: pl.DataFrame) -> int:
    return int((~tokens["captured"]).sum())


def _stretches(request: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(start, length) of the longest run of usable tokens of each request that has one (the first among equals)."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        return rows, rows
    breaks = np.flatnonzero((np.diff(rows) > 1) | (np.diff(request[rows]) != 0)) + 1
    low, high = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(rows)]])
    start, length = rows[low], high - low
    order = np.lexsort((start, -length, request[start]))
    first = np.unique(request[start][order], return_index=True)[1]
    return start[order[first]], length[order[first]]
