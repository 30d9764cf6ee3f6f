"""Logs of one JSON object per token and layer, as users' hooks write them, and gpt-oss RouterAnalyzer's files.

    {"type": "meta", "model_id", "top_k", "layers_logged"}, then
    {"type": "route", "req_id", "token_idx", "layer", "topk_ids", "topk_weights"}            hooks in vLLM
    {"record_type": "metadata"}, then {"record_type": "routing_selection", "layer", "phase": "prompt" | "decode",
     "token_id", "token_position", "selected_experts", "selected_probabilities"}             moe-cache-lab, version 1
    {"token", "layer", "experts", "weights", "entropy"}                                      llama.cpp's eval callback
    {"router_data": [{"token_502": {"layer_0": {"selected_experts", "selected_probs"}}}]}    RouterAnalyzer; decode only

Weights are not read: some are normalised and some are not.
"""

import re
from pathlib import Path
from typing import Any

from traces.importers import documents
from traces.importers.rows import Rows, assembled
from traces.request import DECODE, PROMPT, UNKNOWN, Reading, Requests

DIALECTS = (  # keys of: the request, the token, the layer, the experts
    ("req_id", "token_idx", "layer", "topk_ids"),
    ("request_id", "token_position", "layer", "selected_experts"),
    ("req_id", "token", "layer", "experts"),
)
HEADERS = ("meta", "metadata", "header")
PHASES = {"prompt": PROMPT, "prefill": PROMPT, "decode": DECODE}
NUMBERED = re.compile(r"(?:token|layer)_(\d+)")


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is such a log."""
    rows = any(all(b'"%s"' % key.encode() in head for key in keys[1:]) for keys in DIALECTS)
    return rows or b'"router_data"' in head


def read(paths: list[Path], reading: Reading) -> Requests:
    """The requests of each file; layers are those of all files."""
    files = []
    for path in paths:
        rows = Rows(path.name, reading)
        for place, document in documents.read(path, reading):
            _line(document, place, rows, reading)
        files.append(rows)
    yield from assembled(files, reading)


def _line(document: Any, place: str, rows: Rows, reading: Reading) -> None:
    if isinstance(document, list):
        for each in document:
            _line(each, place, rows, reading)
        return
    if not isinstance(document, dict):
        reading.faults.add("lines that are no objects", place)
        return
    kind = document.get("type", document.get("record_type"))
    if kind in HEADERS:
        reading.model = reading.model or document.get("model_id", document.get("model"))
        rows.begin()
        return
    if "router_data" in document:
        _analyzed(document["router_data"], place, rows, reading)
        return
    keys = next((keys for keys in DIALECTS if all(key in document for key in keys[1:])), None)
    if keys is None:
        if kind in (None, "route", "routing_selection"):
            reading.faults.add("lines that lack a token, a layer or experts", place)
        return  # another kind of record
    name, token, layer, ids = (document.get(key) for key in keys)
    if not isinstance(ids, list):
        reading.faults.add("lines whose experts are no list", place)
        return
    phase = PHASES.get(str(document.get("phase")), UNKNOWN)
    rows.add(None if name is None else str(name), token, layer, ids, phase, place)  # type: ignore[arg-type]


def _analyzed(tokens: Any, place: str, rows: Rows, reading: Reading) -> None:
    rows.begin()
    try:
        for each in tokens:
            for token, by_layer in each.items():
                for layer, row in by_layer.items():
                    rows.add(None, _number(token), _number(layer), row["selected_experts"], DECODE, place)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        reading.faults.add("router_data that is not token -> layer -> selected_experts", f"{place}: {error}")


def _number(name: str) -> int:
    match = NUMBERED.fullmatch(name)
    if match is None:
        raise ValueError(name)
    return int(match[1])
