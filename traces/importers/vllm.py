"""vLLM's routed experts in responses and in what users save of `RequestOutput`.

    choices[].routed_experts   base64 of .npy bytes, [tokens - 1, layers, top_k], uint8, uint16 or int32
                               (vllm/entrypoints/scale_out/token_in_token_out/protocol.py, >= 0.22)
                               or nested lists [generated, layers, top_k], beside the response's
    prompt_routed_experts      [prompt, layers, top_k], -1 where the prefix cache had the row
                               (docs/training/routed_experts_replay.md, 0.21)
    outputs[].routed_experts   the same of the offline API, saved as nested lists

A response's tokens are prompt + generated, and the last one sampled was never forwarded, so it has no row.
"""

import base64
import binascii
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from traces.importers import documents, responses
from traces.request import Reading, Request, Requests

HEAD = re.compile(rb'"(?:prompt_)?routed_experts"\s*:\s*(?:"k05VTVBZ|\[)')  # base64 of the magic word of .npy
NOTE = "vLLM records accepted tokens: what rejected drafts loaded is not in the trace."


def detects(path: Path, head: bytes) -> bool:
    """Whether the file holds such responses."""
    return HEAD.search(head) is not None


def read(paths: list[Path], reading: Reading) -> Requests:
    """One request per choice of each response."""
    reading.note(NOTE)
    for path in paths:
        for place, document in documents.read(path, reading):
            for where, response, choices in responses.choices(document, place, reading):
                yield from _requests(response, choices, where, path.name, reading)


def _requests(
    response: dict[str, Any], choices: list[dict[str, Any]], where: str, file: str, reading: Reading
) -> Iterator[Request]:
    for number, choice in enumerate(choices):
        place = where if len(choices) == 1 else f"{where} choice {number}"
        given = choice.get("routed_experts")
        if given is None:
            reading.faults.add("responses without routed_experts", place)
            continue
        ids, prompt_ids = _array(given), response.get("prompt_routed_experts", choice.get("prompt_routed_experts"))
        before = None if prompt_ids is None else _array(prompt_ids)
        if ids is None or (prompt_ids is not None and before is None):
            reading.faults.add("routed_experts that are no array [tokens, layers, top_k]", place)
            continue
        if before is not None:
            if before.shape[1:] != ids.shape[1:] and len(ids):
                said = f"{place}: {before.shape[1:]} and {ids.shape[1:]}"
                reading.faults.add("responses whose prompt and generated rows differ in layers or top_k", said)
                continue
            ids = np.concatenate([before, ids]) if len(ids) else before
        known = None if before is None else len(before)
        request = responses.request(ids, response, choice, place, file, reading, alone=len(choices) == 1, prompt=known)
        if request is not None:
            yield request


def _array(given: Any) -> np.ndarray | None:
    """The array [tokens, layers, top_k], or None where it is none; pickles are never loaded."""
    try:
        if isinstance(given, str):
            ids = np.load(io.BytesIO(base64.b64decode(given, validate=True)), allow_pickle=False)
        else:
            ids = np.asarray(given)
    except (ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, binascii.Error):
        return None
    if not isinstance(ids, np.ndarray) or (ids.size and (ids.ndim != 3 or ids.dtype.kind not in "iu")):
        return None
    return ids if ids.ndim == 3 else np.empty((0, 1, 1), np.int64)
