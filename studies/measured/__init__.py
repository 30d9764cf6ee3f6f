"""Published measurements of serving with and without drafting, and a user's own: one CSV schema.

A row is one configuration that ran: what served what (target, hardware, devices, drafter, text), how
(concurrency, draft_length), and what was measured of it. What is not known stays empty.
"""

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from montecarlo.errors import InputError
from studies import catalog
from traces.faults import Faults

WORDS = ("target", "hardware", "drafter", "text", "source")
COUNTS = ("devices", "concurrency", "draft_length")
NUMBERS = (
    "tokens_per_step",  # bonus included; 1 without drafts
    "tokens_per_step_error",  # its relative error where it was measured on another text; 0: with the row
    "prompt_tokens",
    "output_tokens",
    "step_seconds",  # a decode step that carries no prompt
    "seconds_per_token",  # of one sequence, mean
    "tokens_per_second",  # of all sequences
)
COLUMNS = (*WORDS, *COUNTS, *NUMBERS)
MEASURED = ("step_seconds", "seconds_per_token", "tokens_per_second")
NEEDED = ("target", "drafter", "source", "concurrency", "draft_length")
GROUP = ("target", "hardware", "devices", "drafter", "text")  # one engine on one traffic
SHIPPED = ("gpt-oss-120b-h200", "deepseek-v4-pro-b300", "qwen3-moe-batch-8")


@dataclass(frozen=True)
class Group:
    """The rows of one engine on one traffic; hardware is None where it was not said."""

    target: str
    hardware: str | None
    devices: int | None
    drafter: str
    text: str
    rows: pl.DataFrame


def read(given: str) -> list[Group]:
    """The groups of a shipped data set (its id) or of a user's CSV, all its faults in one line."""
    if given in SHIPPED:
        text = resources.files(__name__).joinpath(f"{given}.csv").read_text("utf-8")
    elif given.endswith(".csv"):
        try:
            text = Path(given).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            raise InputError(f"measured {given} cannot be read: {error}") from error
    else:
        raise catalog.refuse("measured", given, [*SHIPPED, "a path to a .csv file"])
    return _groups(_parsed(text, given))


def _parsed(text: str, given: str) -> pl.DataFrame:
    """The table, one line of `text` a row; the header is line 1."""
    lines = csv.reader(text.splitlines())
    header, faults = next(lines, []), Faults()
    for what, names in (("no column", set(COLUMNS) - set(header)), ("the unknown column", set(header) - set(COLUMNS))):
        if names:
            faults.say(f"it has {what} {', '.join(sorted(names))}; the columns are {', '.join(COLUMNS)}")
    if len(set(header)) < len(header):
        faults.say("a column is there twice")
    faults.refuse(f"measured {given}")
    rows = []
    for number, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            faults.add(f"rows of another length than the header's {len(header)} cells", f"line {number}")
        else:
            rows.append(_row(dict(zip(header, cells, strict=True)), f"line {number}", faults))
    if not rows and not faults:
        faults.say("it has no rows")
    _across(rows, faults)
    faults.refuse(f"measured {given}")
    schema = dict.fromkeys(WORDS, pl.String) | dict.fromkeys(COUNTS, pl.Int64) | dict.fromkeys(NUMBERS, pl.Float64)
    return pl.DataFrame([{name: row[name] for name in COLUMNS} for row in rows], schema=schema)


def _row(cells: dict[str, str], place: str, faults: Faults) -> dict[str, Any]:
    """One row; empty cells are None, or what an empty one means."""
    row: dict[str, Any] = {name: cells[name].strip() or None for name in WORDS} | {"place": place}
    for name in (*COUNTS, *NUMBERS):
        row[name] = _number(name, cells[name].strip(), place, faults)
    for name in NEEDED:
        if row[name] is None and not cells[name].strip():
            faults.add(f"rows without {name}", place)
    entries = {"target": catalog.table("targets"), "hardware": catalog.table("hardware")}
    for name, known in entries.items():
        if row[name] is not None and row[name] not in known and not row[name].endswith(".toml"):
            faults.add(f"rows with {name} {row[name]!r}, which is not in the catalogue", place)
    if all(row[name] is None for name in MEASURED):
        faults.add(f"rows without any of {', '.join(MEASURED)}", place)
    if (row["hardware"] is None) != (row["devices"] is None):
        faults.add("rows with hardware or devices alone", place)
    if (row["prompt_tokens"] is None) != (row["output_tokens"] is None):
        faults.add("rows with prompt_tokens or output_tokens alone", place)
    row["text"], row["tokens_per_step_error"] = row["text"] or "", row["tokens_per_step_error"] or 0.0
    emitted, length = row["tokens_per_step"], row["draft_length"]
    if length == 0:
        row["tokens_per_step"] = 1.0 if emitted is None else emitted
        if emitted not in (None, 1.0):
            faults.add("rows without drafts whose tokens_per_step is not 1", place)
    elif emitted is None:
        faults.add("rows with drafts and no tokens_per_step", place)
    elif length is not None and not 1 <= emitted <= length + 1:
        faults.add("rows whose tokens_per_step is not from 1 to draft_length + 1", place)
    return row


def _number(name: str, cell: str, place: str, faults: Faults) -> float | int | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    least_zero = name in ("draft_length", "tokens_per_step_error")
    if not np.isfinite(value) or value < 0 or (value == 0 and not least_zero):
        faults.add(f"values of {name} that are no {'number of 0 or more' if least_zero else 'positive number'}", place)
        return None
    if name in COUNTS and value != round(value):
        faults.add(f"values of {name} that are not whole", place)
        return None
    return int(value) if name in COUNTS else value


def _across(rows: list[dict[str, Any]], faults: Faults) -> None:
    """What is wrong between rows: the same one twice, and drafts with nothing to compare with."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (*(row[name] for name in GROUP), row["concurrency"], row["draft_length"])
        if key in seen:
            faults.add("rows that repeat another's engine, text, concurrency and draft_length", row["place"])
        seen.setdefault(key, row)
    for key, row in seen.items():
        if not row["draft_length"]:
            continue
        base = seen.get((*key[:-1], 0))
        if base is None:
            faults.add("rows with drafts and none without at the same engine, text and concurrency", row["place"])
        elif not any(row[name] is not None and base[name] is not None for name in MEASURED):
            faults.add("rows with drafts that measure nothing the row without does", row["place"])


def _groups(table: pl.DataFrame) -> list[Group]:
    found = []
    for _, rows in table.group_by(GROUP, maintain_order=True):
        first = rows.row(0, named=True)
        found.append(Group(**{name: first[name] for name in GROUP}, rows=rows.sort("concurrency", "draft_length")))
    return found
