"""SGLang's routed experts in responses: base64 of raw little-endian int32, [tokens - 1, layers, top_k] without a shape.

    meta_info.routed_experts             of /generate
    choices[].sgl_ext.routed_experts     of the OpenAI endpoints
    (sgl-project/sglang, pull requests 12162 and 17434)

Layers are all layers of the model, dense ones too, and top_k has one more where a shared expert is fused, so the
target must say how many there are; which of the four it is, the number of tokens tells.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Any

import numpy as np

from traces.importers import documents, responses
from traces.request import Reading, Requests

HEAD = re.compile(rb'"routed_experts"\s*:\s*"(?!k05VTVBZ)')
NOTE = "SGLang returns accepted tokens: what rejected drafts loaded is not in the trace."


def detects(path: Path, head: bytes) -> bool:
    """Whether the file holds such responses."""
    return HEAD.search(head) is not None


def read(paths: list[Path], reading: Reading) -> Requests:
    """One request per response."""
    reading.note(NOTE)
    if not (reading.shape.layers and reading.shape.top_k):
        reading.faults.say("SGLang writes no shape beside its int32 ids; say which model it was with --target")
        return
    for path in paths:
        for place, document in documents.read(path, reading):
            for where, response, choices in responses.choices(document, place, reading):
                for number, choice in enumerate(choices):
                    name = where if len(choices) == 1 else f"{where} choice {number}"
                    held = _flat(choice)
                    if held is None:
                        reading.faults.add("responses without routed_experts in base64 of int32", name)
                        continue
                    alone = len(choices) == 1
                    ids = _shaped(held, response, choice, name, reading, alone)
                    if ids is None:
                        continue
                    request = responses.request(
                        ids, response, choice, name, path.name, reading, alone=alone, cut_in_front=True
                    )
                    if request is not None:
                        yield request


def _flat(choice: dict[str, Any]) -> np.ndarray | None:
    for key in ("meta_info", "sgl_ext"):
        given = responses.mapping(choice.get(key)).get("routed_experts")
        if isinstance(given, str):
            try:
                return np.frombuffer(base64.b64decode(given, validate=True), "<i4")
            except (ValueError, binascii.Error):
                return None
    return None


def _shaped(
    flat: np.ndarray, response: dict[str, Any], choice: dict[str, Any], place: str, reading: Reading, alone: bool
) -> np.ndarray | None:
    """Rows [tokens, layers, top_k]: the first shape of as many tokens as the response says, else one that fits."""
    shape = reading.shape
    sizes = [
        (layers, top_k)
        for top_k in (shape.top_k, shape.top_k + 1)
        for layers in (shape.depth, shape.layers)
        if layers and flat.size % (layers * top_k) == 0
    ]
    prompt, generated = responses.told(response, choice, alone=alone)
    if prompt is not None and generated is not None:
        said = prompt + generated - 1
        tokens = {size: flat.size // (size[0] * size[1]) for size in sizes}
        exact = [size for size in sizes if tokens[size] in (said, said + 1)]
        sizes = exact or [size for size in sizes if tokens[size] < said]
    elif sizes:
        assumed = f"{sizes[0][0]} layers x {sizes[0][1]}"
        reading.note(f"Responses that do not count their tokens are taken as {assumed} ids per token.")
    if not flat.size or not sizes:
        first = f"{place}: {flat.size:,} ids"
        each = f"{shape.depth or shape.layers} layers (MoE: {shape.layers}) x top_k {shape.top_k}"
        reading.faults.add(f"responses whose ids are no whole tokens of the target's {each}", first)
        return None
    return flat.reshape(-1, *sizes[0])
