"""The files of an import: their text, the JSON values in it, and typed fields of these."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from traces.acceptance_log import MOST
from traces.faults import Faults


@dataclass(frozen=True)
class File:
    """A file, its text, and the group its pooled figures belong to: its name, with the folder where two are alike."""

    path: Path
    text: str
    group: str


def load(paths: Sequence[Path]) -> list[File]:
    """Read the files; raises InputError where that fails or one is given twice."""
    if len(set(paths)) != len(paths):
        raise InputError(f"a file is given twice: {', '.join(map(str, paths))}")
    stems = [path.stem for path in paths]
    groups = [path.stem if stems.count(path.stem) == 1 else str(path.with_suffix("")) for path in paths]
    return [File(path, _text(path), group) for path, group in zip(paths, groups, strict=True)]


def _text(path: Path) -> str:
    """The file's text; bytes that are not UTF-8 (logs have them) are replaced."""
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} cannot be read: no file has such a name") from error


def named(files: Sequence[File]) -> str:
    """How messages call these files."""
    return ", ".join(str(file.path) for file in files)


def values(file: File, faults: Faults) -> Iterator[tuple[str, Any]]:
    """(place, value) of each JSON value: a document, the entries of a list, or lines (also server-sent events)."""
    try:
        whole = json.loads(file.text)
    except RecursionError as error:
        raise InputError(f"{file.path} cannot be read: its JSON is nested too deeply") from error
    except ValueError:
        yield from _lines(file, faults)
        return
    if isinstance(whole, list):
        for entry, value in enumerate(whole, 1):
            yield f"{file.path.name} entry {entry}", value
    else:
        yield f"{file.path.name} line 1", whole


def _lines(file: File, faults: Faults) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(file.text.splitlines(), 1):
        content = line.strip().removeprefix("data:").strip()
        if not content or content == "[DONE]":
            continue
        place = f"{file.path.name} line {number}"
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            faults.add("lines that are not JSON", f"{place}: {content[:40]!r}")
            continue
        yield place, value


def holding(value: Any, *keys: str) -> Iterator[dict[str, Any]]:
    """Every object inside `value`, at any depth, that has all `keys`, in order."""
    if isinstance(value, dict):
        if all(key in value for key in keys):
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from holding(inner, *keys)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def count(held: dict[str, Any], key: str, place: str, faults: Faults) -> int | None:
    """A whole number of at least 0, or None where it is absent or null; anything else is a fault."""
    value = held.get(key)
    if value is None or _whole(value):
        return value
    if isinstance(value, float) and 0 <= value < MOST and value.is_integer():
        return int(value)
    faults.add(f"values of {key} that are no whole numbers of at least 0", f"{place}: {value!r}")
    return None


def number(held: dict[str, Any], key: str, place: str, faults: Faults) -> float | None:
    """A finite number, or None where it is absent or null; anything else is a fault."""
    value = held.get(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    faults.add(f"values of {key} that are no numbers", f"{place}: {value!r}")
    return None


def counts(held: dict[str, Any], key: str, place: str, faults: Faults) -> list[int] | None:
    """A list of whole numbers of at least 0 (also an object whose keys are the places), or None where absent."""
    value = held.get(key)
    if value is None:
        return None
    if isinstance(value, dict):
        if not all(str(name).isdecimal() and int(name) < 1_000_000 for name in value):
            faults.add(f"objects {key} whose keys are no whole numbers", f"{place}: {list(value)[:3]}")
            return None
        places = {int(name): entry for name, entry in value.items()}
        value = [places.get(at, 0) for at in range(max(places, default=-1) + 1)]
    if isinstance(value, list) and all(map(_whole, value)):
        return value
    faults.add(f"lists {key} that are not of whole numbers of at least 0", f"{place}: {str(value)[:40]}")
    return None


def text(held: dict[str, Any], *keys: str) -> str | None:
    """The first of `keys` that holds a name (a string or a number), as printable text of one line."""
    for key in keys:
        value = held.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return "".join(letter if letter.isprintable() else " " for letter in str(value))
    return None
