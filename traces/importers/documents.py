"""JSON documents of a file, one at a time: JSON Lines, one document, or the elements of one top-level array."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traces.request import Reading

CHUNK = 1 << 22


def read(path: Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    """(place, document) of each document; what is no JSON goes to the faults of the reading."""
    with path.open("rb") as file:
        head = file.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")
        file.seek(0)
        if head.startswith(b"["):
            yield from _elements(path, reading)
            return
        first, second = file.readline(), file.readline()
        file.seek(0)
        if _is_json(first) or not head.startswith(b"{") or second.lstrip().startswith(b"{"):
            yield from _lines(path, reading)  # says which lines are broken
            return
        try:
            yield path.name, _decoded(file.read())
        except (ValueError, RecursionError) as error:
            reading.faults.add("files are no JSON", f"{path.name}: {error}")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _lines(path: Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path.name} line {number}"
            try:
                yield place, _decoded(line)
            except (ValueError, RecursionError) as error:
                reading.faults.add("lines are no JSON", f"{place}: {error}")


def _elements(path: Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    """Elements of the top-level array, decoded from a buffer that grows until one fits."""
    decoder, number = json.JSONDecoder(), 0
    with path.open("r", encoding="utf-8-sig", errors="replace") as file:
        buffer, at, size = file.read(CHUNK), 0, CHUNK
        at = buffer.index("[") + 1
        while True:
            at = _skip(buffer, at)
            if at < len(buffer) and buffer[at] == "]":
                return
            try:
                element, end = decoder.raw_decode(buffer, at)
                if end == len(buffer):  # a number may go on
                    raise ValueError("not at its end yet")
            except (ValueError, RecursionError) as error:
                more = file.read(size)
                if not more:
                    reading.faults.add("files are no JSON", f"{path.name} element {number}: {error}")
                    return
                buffer, at, size = buffer[at:] + more, 0, 2 * size
                continue
            yield f"{path.name} element {number}", element
            at, size, number = end, CHUNK, number + 1


def _decoded(document: bytes) -> Any:
    """The document; without garbage collection, which doubles the time of nested lists and finds nothing in JSON."""
    on = gc.isenabled()
    gc.disable()
    try:
        return json.loads(document.decode("utf-8-sig"))
    finally:
        if on:
            gc.enable()


def _skip(buffer: str, at: int) -> int:
    while at < len(buffer) and buffer[at] in " \t\r\n,":
        at += 1
    return at
