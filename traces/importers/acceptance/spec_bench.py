"""Spec-Bench answer files (evaluation/eval.py), one JSON line per question; EAGLE's, Medusa's, Hydra's runs in it.

    question_id, category, model_id, choices: [{index, turns, decoding_steps, new_tokens, wall_time, accept_lengths}]
    decoding_steps, new_tokens   per turn (Medusa's runs: idxs, the index of each turn's last step, one less)
    accept_lengths               tokens per verify step, the BONUS COUNTED, all turns one after another

The last step of a turn may be cut. Files whose texts were stripped have the fields of a choice at the top. The file
does not say what was drafted: trees are known by the model ids that Spec-Bench's eval.sh gives, or from the user.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, Steps
from traces.faults import Faults
from traces.importers.acceptance.files import File, counts, named, text, values

# Nodes per depth of Spec-Bench's default `mc_sim_7b_63`, which is another tree in model/eagle and in model/medusa.
TREES = {"-eagle-": (4, 8, 8, 3, 2), "-medusa-": (10, 28, 23, 2)}
TEMPERATURE = re.compile(r"-temp(?:erature)?-(\d+(?:\.\d+)?)")  # as in eval.sh and in EAGLE's gen_ea_answer


def detects(path: Path, head: str) -> bool:
    """By the list of a question's steps."""
    return '"accept_lengths"' in head and '"question_id"' in head


def temperature(model_id: str | None) -> float | None:
    """The temperature in a model id, None where it has none."""
    found = TEMPERATURE.search(model_id or "")
    return float(found[1]) if found else None


def lossy(model_id: str | None) -> bool:
    """Whether the id is of Medusa or Hydra heads at a temperature: these accept by the typical rule."""
    return bool(re.search(r"medusa|hydra", model_id or "", re.IGNORECASE)) and bool(temperature(model_id))


def answers(file: File, faults: Faults) -> list[tuple[str, dict[str, Any], dict[str, Any], str]]:
    """(place, question, choice, id) of every choice of a file; a question that is there twice is a fault."""
    found, seen = [], dict[str, str]()
    for place, question in values(file, faults):
        if not isinstance(question, dict) or text(question, "question_id") is None:
            faults.add("entries without a question_id", place)
            continue
        choices = question.get("choices", [question])
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            faults.add("entries whose choices are no objects", place)
            continue
        for index, choice in enumerate(choices):
            name = str(text(question, "question_id")) + (f"/{index}" if len(choices) > 1 else "")
            if seen.setdefault(name, place) != place:
                faults.add("questions that are there twice", f"{name} at {seen[name]} and {place}")
            found.append((place, question, choice, name))
    return found


def read(files: Sequence[File]) -> AcceptanceLog:
    """Every verify step, by question and turn."""
    faults = Faults()
    requests: list[dict[str, Any]] = []
    steps = Steps()
    models: set[str] = set()
    flags: set[str] = set()
    for file in files:
        for place, question, choice, name in answers(file, faults):
            model = text(question, "model_id") or ""
            models.add(model)
            flags |= {"lossy"} if lossy(model) else set()
            known = {"id": name, "category": text(question, "category"), "temperature": temperature(model)}
            request = len(requests)
            requests.append({"request": request, **known})
            for turn, lengths in enumerate(_turns(choice, place, faults)):
                steps.turn(request, turn, [length - 1 for length in lengths])
    trees = {tree for model in models for mark, tree in TREES.items() if mark in model}
    notes = ["The last step of every turn may have been cut at the end of its text."]
    if len(models) > 1:
        faults.add("model ids beyond the first; import one model at a time", sorted(models)[1], len(models) - 1)
    log = AcceptanceLog.of(
        named(files), faults, requests=requests, steps=steps, flags=flags | {"shape-unknown"}, notes=notes
    )
    if not trees:
        return log
    tree = trees.pop()
    log = log.with_tree(tree)
    said = f"The model id {models.pop()} is of Spec-Bench's default tree, {'/'.join(map(str, tree))} nodes by depth."
    return replace(log, notes=(*log.notes, said))


def _turns(choice: dict[str, Any], place: str, faults: Faults) -> list[list[int]]:
    """accept_lengths cut into turns; nothing where they cannot be."""
    lengths = counts(choice, "accept_lengths", place, faults)
    by_turn = counts(choice, "decoding_steps", place, faults)
    last = counts(choice, "idxs", place, faults)
    if by_turn is None and last is not None:
        by_turn = [index + 1 for index in last]
    tokens = counts(choice, "new_tokens", place, faults)
    if lengths is None or by_turn is None:
        faults.add("entries without accept_lengths and decoding_steps", place)
        return []
    if sum(by_turn) != len(lengths):
        kind = "entries whose decoding_steps do not sum to the number of accept_lengths"
        faults.add(kind, f"{place}: {sum(by_turn)}, not {len(lengths)}")
        return []
    turns, start = [], 0
    for taken in by_turn:
        turns.append(lengths[start : start + taken])
        start += taken
    if lengths and (min(lengths) < 1 or (tokens and sum(tokens) == sum(lengths) + len(lengths))):
        faults.add("entries whose accept_lengths do not count the bonus, as Spec-Bench's do", place)
        return []
    if tokens is not None and [sum(turn) for turn in turns] != tokens:
        emitted = [sum(turn) for turn in turns]
        faults.add(
            "entries whose accept_lengths do not sum to new_tokens, turn by turn", f"{place}: {emitted}, {tokens}"
        )
    return turns
