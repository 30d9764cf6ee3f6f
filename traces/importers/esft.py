"""ESFT's expert scores: the experts of DeepSeek-V2-Lite on whole sequences, a file per layer.

    <data set>/expert_weights_<layer>.txt   one line per sequence: top_k ids per token, an empty field, as many weights,
                                            separated by tabs; the same line is the same sequence in every file
    (deepseek-ai/ESFT, scripts/expert/generate_expert_config.py, parse_line)

Sequences are prompt and answer in one forward pass, not split. Weights are not read: they are not normalised.
"""

import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from traces.request import UNKNOWN, Reading, Request, Requests

NAME = re.compile(r"expert_weights_(\d+)\.txt")
HEAD = re.compile(rb"\d+(\t\d+)*\t\t[\d.]")
TOP_K = 6  # of DeepSeek-V2-Lite, the only model these files exist for


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is one layer of such scores."""
    line = head.split(b"\n", 1)[0]
    return NAME.fullmatch(path.name) is not None and (HEAD.match(line) is not None or b"\t" in line)


def read(paths: list[Path], reading: Reading) -> Requests:
    """One request per line, over the layers of its folder."""
    folders: dict[Path, dict[int, Path]] = {}
    for path in paths:
        match = NAME.fullmatch(path.name)
        if match is None:
            reading.faults.add("files are not called expert_weights_<layer>.txt", path.name)
        else:
            folders.setdefault(path.parent, {})[int(match[1])] = path
    layers = [sorted(held) for held in folders.values()]
    reading.layers = layers[0] if layers else None
    reading.note("Sequences are prompt and answer in one forward pass: they are not split into prompt and decode.")
    for folder, held in folders.items():
        if sorted(held) != reading.layers:
            reading.faults.add("folders with other layers than the first", f"{folder.name}: {sorted(held)}")
            continue
        yield from _sequences(folder, [held[layer] for layer in sorted(held)], reading)


def _sequences(folder: Path, paths: list[Path], reading: Reading) -> Requests:
    top_k = reading.shape.top_k or TOP_K
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        number = 0
        while True:
            number += 1
            lines = [file.readline() for file in files]
            ended = [path.name for path, line in zip(paths, lines, strict=True) if not line.strip()]
            if len(ended) == len(files):
                return
            if ended:
                reading.faults.add(
                    "files end before the others of their folder", f"{folder.name}/{ended[0]} line {number}"
                )
                return
            parsed = [_ids(line, top_k) for line in lines]
            broken = [path.name for path, ids in zip(paths, parsed, strict=True) if ids is None]
            place = f"{folder.name} line {number}"
            rows = [ids for ids in parsed if ids is not None]
            if broken:
                said = f"{folder.name}/{broken[0]} line {number}"
                reading.faults.add(f"lines are not {top_k} ids per token and as many weights", said, len(broken))
            elif len({len(ids) for ids in rows}) > 1:
                reading.faults.add("sequences of different lengths in different layers", place)
            else:
                ids = np.stack(rows, axis=1)
                phase = np.full(len(ids), UNKNOWN, np.int8)
                yield Request(ids, phase, place, folder.name, f"{folder.name}/{number}", category=folder.name)


def _ids(line: bytes, top_k: int) -> np.ndarray | None:
    """Ids [tokens, top_k] of a line; None where it is none."""
    given, apart, weights = line.rstrip(b"\r\n").partition(b"\t\t")
    if not apart:
        return None
    try:
        ids = np.array(given.split(b"\t"), np.int64)
    except (ValueError, OverflowError):
        return None
    if len(ids) % top_k or len(ids) != weights.strip(b"\t").count(b"\t") + 1:
        return None
    return ids.reshape(-1, top_k)
