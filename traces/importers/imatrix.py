"""llama.cpp's importance matrix (llama-imatrix, GGUF): how many tokens chose each expert.

    blk.N.ffn_{gate,up,down,gate_up}_exps.weight.counts   F32 [1, E] (tools/imatrix/imatrix.cpp)

Where all counts of a tensor are equal it is stored with one element. Layout of GGUF, version 3 (docs/gguf.md of ggml):

    "GGUF"  u32 version  u64 tensors  u64 keys
    keys     string name, u32 type, value          string: u64 length, UTF-8
    tensors  string name, u32 axes, u64 shape[axes] (innermost first), u32 type (0: F32), u64 offset
    padding  to `general.alignment` (32), then the data
"""

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from traces.importers.counts import checked
from traces.request import Counts, Reading

COUNTS = re.compile(r"blk\.(\d+)\.ffn_(gate|up|down|gate_up)_exps\.weight\.counts")
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY, F32 = 8, 9, 0
LONGEST = 1 << 30  # bytes of one string, or elements of one array


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is a GGUF with counts of experts."""
    return head.startswith(b"GGUF") and b"_exps.weight.counts" in head


def read(paths: list[Path], reading: Reading) -> Counts:
    """Counts [files, layers, experts]."""
    parts: list[dict[int, np.ndarray]] = []
    for path in paths:
        try:
            parts.append(_counts(path, reading))
        except (ValueError, struct.error, MemoryError, OverflowError) as error:
            reading.faults.add("files that are no GGUF of version 3", f"{path.name}: {error}")
    reading.faults.refuse(str(paths[0]))
    experts = max(len(row) for part in parts for row in part.values())
    layers = sorted({layer for part in parts for layer in part})
    if experts == 1 and not reading.shape.experts:
        reading.faults.say("all counts are equal and stored as one; say how many experts there are with --target")
    experts = reading.shape.experts if experts == 1 else experts
    counts = np.zeros((len(parts), len(layers), max(1, experts)))
    for window, part in enumerate(parts):
        for layer, row in part.items():
            if len(row) not in (1, experts):
                reading.faults.say(f"layer {layer} counts {len(row)} experts, another {experts}")
            else:
                counts[window, layers.index(layer)] = row
    if any(len(row) == 1 for part in parts for row in part.values()):
        reading.note("Counts stored as one number are equal for all experts of their layer.")
    checked(counts, paths[0].name, reading)
    return Counts(counts.astype(np.int64), layers)


def _counts(path: Path, reading: Reading) -> dict[int, np.ndarray]:
    """Counts of each layer [E] (or [1], all equal); the projections of a layer all count the same tokens."""
    with path.open("rb") as file:
        magic, version, tensors, keys = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"version {version}")
        known = {_string(file): _value(file, _scalar(file, "I")) for _ in range(_few(keys))}
        infos = [_tensor(file) for _ in range(_few(tensors))]
        alignment = int(known.get("general.alignment", 32))
        data = -(-file.tell() // alignment) * alignment
        found: dict[int, np.ndarray] = {}
        for name, shape, kind, offset in infos:
            match = COUNTS.fullmatch(name)
            if match is None:
                continue
            if kind != F32:
                raise ValueError(f"{name} is of type {kind}, not F32")
            file.seek(data + offset)
            size = 4 * int(np.prod(shape))
            held = file.read(size)
            if len(held) != size:
                raise ValueError(f"{name} is cut short")
            row, layer = np.frombuffer(held, "<f4").astype(np.float64), int(match[1])
            if layer in found and not np.array_equal(found[layer], row):
                reading.faults.add(
                    "projections of a layer that count other tokens than another", f"{path.name}: {name}"
                )
            found[layer] = row
    if not found:
        raise ValueError("no counts of experts in it")
    return found


def _scalar(file: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))[0]


def _few(number: int) -> int:
    if number > LONGEST:
        raise ValueError(f"{number} of something; damaged")
    return number


def _string(file: BinaryIO) -> str:
    return file.read(_few(_scalar(file, "Q"))).decode("utf-8")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(file)
    if kind == ARRAY:
        inner, length = _scalar(file, "I"), _few(_scalar(file, "Q"))
        return [_value(file, inner) for _ in range(length)]
    if kind not in SCALARS:
        raise ValueError(f"a value of type {kind}")
    return _scalar(file, SCALARS[kind])


def _tensor(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    name, axes = _string(file), _scalar(file, "I")
    if axes > 4:
        raise ValueError(f"{name} has {axes} axes")
    return name, tuple(_scalar(file, "Q") for _ in range(axes)), _scalar(file, "I"), _scalar(file, "Q")
