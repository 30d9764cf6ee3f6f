"""A plain CSV with a header, in one of four layouts told apart by its columns:

    steps    request, step, accepted [, drafted, turn, category, temperature, cut, batch, seconds]
    curves   depth and one of survival | hazard | accepted with steps [, group, category, temperature, draft_length]
    wide     survival_1, survival_2, ... or hazard_1, ..., or pos_1, ... with a column kind [, tokens_per_step]
    means    tokens_per_step, or accepted with drafted [, steps, draft_length, group, category, temperature]

accepted never counts the bonus, tokens_per_step does. draft_length may be called k or num_speculative_tokens,
tokens_per_step AL_incl_bonus; kind is survival or hazard. A column acceptance_rate alone is refused: it may be
accepted / drafted, survival or hazard, and which must be said.
"""

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from traces.acceptance_log import MOST, AcceptanceLog, Steps
from traces.faults import Faults
from traces.importers.acceptance.files import File, named

NAMES = {"k": "draft_length", "num_speculative_tokens": "draft_length", "AL_incl_bonus": "tokens_per_step"}
GROUPS = ("group", "target", "model", "drafter", "workload", "dataset")  # a row's group: those of these it has
WIDE = re.compile(r"^(survival|hazard|pos)_(\d+)$")
AMBIGUOUS = ("acceptance_rate", "accept_rate", "acceptance", "rate", "accept_length", "acceptance_length")

Row = dict[str, str]
Held = dict[str, list[dict[str, Any]]]


def detects(path: Path, head: str) -> bool:
    """By a header of these columns."""
    names = {NAMES.get(name.strip(), name.strip()) for name in head.split("\n", 1)[0].split(",")}
    deep = any(WIDE.match(name) for name in names)
    return (
        deep
        or "depth" in names
        or "tokens_per_step" in names
        or {"accepted", "drafted"} <= names
        or ({"request", "step", "accepted"} <= names)
    )


def read(files: Sequence[File]) -> AcceptanceLog:
    """Steps, curves or means, whichever layout a file has."""
    faults = Faults()
    requests: list[dict[str, Any]] = []
    held: Held = {"curves": [], "means": []}
    steps = Steps()
    notes: list[str] = []
    for file in files:
        rows = _rows(file, faults)
        names = set(rows[0][1]) if rows else set()
        unclear = names & set(AMBIGUOUS)
        deep = sorted(name for name in names if WIDE.match(name))
        if unclear and not names & {"survival", "hazard", "tokens_per_step", "accepted"} and not deep:
            raise InputError(
                f"{file.path}: column {', '.join(sorted(unclear))} could be accepted / drafted, survival or hazard, "
                "the bonus counted or not; name it survival, hazard or tokens_per_step, or give accepted and drafted"
            )
        if {"request", "step", "accepted"} <= names:
            _steps(rows, requests, steps, faults)
        elif "depth" in names:
            _curves(rows, file.group, held["curves"], faults)
        elif deep:
            _wide(rows, file.group, held, notes, faults)
        else:
            _means(rows, file.group, held["means"], faults)
    if steps.columns["drafted"] and None in steps.columns["drafted"]:
        notes.append("Some steps do not say how far was drafted.")
    return AcceptanceLog.of(
        named(files), faults, requests=requests, steps=steps, notes=notes, curves=held["curves"], means=held["means"]
    )


def _rows(file: File, faults: Faults) -> list[tuple[str, Row]]:
    reader = csv.DictReader(file.text.splitlines(), skipinitialspace=True)
    names = [NAMES.get(name.strip(), name.strip()) for name in reader.fieldnames or []]
    if len(set(names)) != len(names):
        raise InputError(f"{file.path}: two columns have the same name: {', '.join(names)}")
    reader.fieldnames = names
    rows = []
    for row in reader:
        place = f"{file.path.name} line {reader.line_num}"
        if None in row or None in row.values():
            faults.add("lines with more or fewer fields than the header", place)
            continue
        rows.append((place, row))
    return rows


def _number(row: Row, name: str, place: str, faults: Faults) -> float | None:
    content = (row.get(name) or "").strip()
    try:
        value = float(content) if content else None
    except ValueError:
        value = math.nan
    if value is None or math.isfinite(value):
        return value
    faults.add("fields that are no numbers", f"{place}, {name}: {content!r}")
    return None


def _count(row: Row, name: str, place: str, faults: Faults) -> int | None:
    value = _number(row, name, place, faults)
    if value is None or (0 <= value < MOST and value.is_integer()):
        return None if value is None else int(value)
    faults.add("fields that are no whole numbers of at least 0", f"{place}, {name}: {row[name]!r}")
    return None


def _known(row: Row, stem: str, place: str, faults: Faults) -> dict[str, Any]:
    group = " / ".join(row[name].strip() for name in GROUPS if row.get(name, "").strip())
    return {
        "group": group or stem,
        "category": row.get("category") or None,
        "temperature": _number(row, "temperature", place, faults),
        "draft_length": _count(row, "draft_length", place, faults),
    }


def _steps(rows: list[tuple[str, Row]], requests: list[dict[str, Any]], steps: Steps, faults: Faults) -> None:
    """Rows in order of request, turn and step; `cut` where it is given, else the last step of every turn."""
    turns: dict[tuple[str, int], list[tuple[str, Row]]] = {}
    for place, row in rows:
        turns.setdefault((row["request"], _count(row, "turn", place, faults) or 0), []).append((place, row))
    numbers: dict[str, int] = {}
    for (name, turn), taken in turns.items():
        place, first = taken[0]
        if name not in numbers:
            numbers[name] = len(requests)
            heat = _number(first, "temperature", place, faults)
            category = first.get("category") or None
            requests.append({"request": numbers[name], "id": name, "temperature": heat, "category": category})
        order = [_count(row, "step", at, faults) for at, row in taken]
        if order != list(range(len(taken))):
            faults.add("turns whose steps do not follow 0, 1, ...", f"{place}: request {name}, turn {turn}")
        columns = {
            column: [_count(row, column, at, faults) for at, row in taken]
            for column in ("accepted", "drafted", "batch")
        }
        missing = [at for at, n in zip((at for at, _ in taken), columns["accepted"], strict=True) if n is None]
        if missing:
            faults.add("steps without accepted", missing[0], len(missing))
        seconds = [_number(row, "seconds", at, faults) for at, row in taken]
        accepted = [n or 0 for n in columns["accepted"]]
        start = len(steps.columns["cut"])
        steps.turn(numbers[name], turn, accepted, columns["drafted"], batch=columns["batch"], seconds=seconds)  # type: ignore[arg-type]
        if "cut" in first:
            steps.columns["cut"][start:] = [row["cut"].strip().lower() in ("1", "true") for _, row in taken]


def _survival(kind: str, given: list[float | None]) -> list[float]:
    """Survival of the depths up to the first that is not given; hazards are multiplied up."""
    known = given[: next((at for at, value in enumerate(given) if value is None), len(given))]
    values, reached = [], 1.0
    for value in known:
        reached = reached * float(value or 0.0) if kind == "hazard" else float(value or 0.0)
        values.append(reached)
    return values


def _curves(rows: list[tuple[str, Row]], stem: str, curves: list[dict[str, Any]], faults: Faults) -> None:
    reached: dict[tuple[Any, ...], float] = {}
    for place, row in rows:
        known = _known(row, stem, place, faults)
        key = tuple(known.values())
        depth, survival = _count(row, "depth", place, faults), _number(row, "survival", place, faults)
        hazard = _number(row, "hazard", place, faults)
        steps, accepted = _count(row, "steps", place, faults), _count(row, "accepted", place, faults)
        if depth is None or sum(given is not None for given in (survival, hazard, accepted if steps else None)) != 1:
            faults.add("lines without a depth and one of survival, hazard, or accepted with steps", place)
            continue
        if accepted is not None and steps:
            survival = accepted / steps
        elif hazard is not None:
            if not 0 <= hazard <= 1:
                faults.add("hazards outside 0..1", f"{place}: {hazard:g}")
            survival = hazard * reached.get(key, 1.0)
        reached[key] = survival if survival is not None else 1.0
        curves.append({**known, "depth": depth, "steps": steps, "accepted": accepted, "survival": survival})


def _wide(rows: list[tuple[str, Row]], stem: str, held: Held, notes: list[str], faults: Faults) -> None:
    columns = sorted((int(found[2]), name, found[1]) for name in rows[0][1] if (found := WIDE.match(name)))
    kinds = {kind for _, _, kind in columns}
    if len(kinds) > 1:
        raise InputError(f"columns of {', '.join(sorted(kinds))} in one table; give one kind")
    anchors = short = 0
    groups: set[str] = set()
    for place, row in rows:
        kind = columns[0][2] if kinds != {"pos"} else re.split(r"\W", row.get("kind", "").strip().lower())[0]
        if kind not in ("survival", "hazard"):
            faults.add(
                "lines of pos_1, pos_2, ... whose kind is not survival or hazard", f"{place}: {row.get('kind', '')!r}"
            )
            continue
        given = [_number(row, name, place, faults) for _, name, _ in columns]
        if columns[0][0] == 0:  # the anchor of a block drafter, which is no draft
            anchors += 1
            if given.pop(0) != 1:
                faults.add("anchors (position 0) that are not 1", place)
        known = _known(row, stem, place, faults)
        if known["group"] in groups:  # every line is a curve of its own
            known["group"] += f" ({place})"
        groups.add(known["group"])
        survival = _survival(kind, given)
        short += known["draft_length"] is not None and len(survival) < known["draft_length"]
        held["curves"] += [{**known, "depth": depth, "survival": share} for depth, share in enumerate(survival, 1)]
        tokens = _number(row, "tokens_per_step", place, faults)
        if tokens is not None:
            held["means"].append({**known, "tokens_per_step": tokens})
    if anchors:
        notes.append(f"Position 0 of {anchors} lines is the anchor and was dropped.")
    if short:
        notes.append(f"{short} lines do not give every depth up to their draft length.")


def _means(rows: list[tuple[str, Row]], stem: str, means: list[dict[str, Any]], faults: Faults) -> None:
    for place, row in rows:
        known = _known(row, stem, place, faults)
        totals = {name: _count(row, name, place, faults) for name in ("steps", "drafted", "accepted")}
        tokens = _number(row, "tokens_per_step", place, faults)
        if tokens is None and totals["steps"] and totals["accepted"] is not None:
            tokens = 1 + totals["accepted"] / totals["steps"]
        if tokens is None and (totals["accepted"] is None or totals["drafted"] is None):
            faults.add("lines without tokens_per_step, or accepted with drafted", place)
            continue
        means.append({**known, **totals, "tokens_per_step": tokens})
