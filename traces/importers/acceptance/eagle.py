"""Answer files of EAGLE (gen_ea_answer_*, gen_ea_alpha_*) and Medusa (gen_model_answer_medusa), a line per question.

    choices: [{index, turns, idxs, new_tokens, wall_time, alpha, alpha_num}]
    idxs        per turn, the INDEX of its last verify step: it took one step more
    new_tokens  per turn, the bonus counted, so tokens per step = sum of new_tokens / sum of (idxs + 1)
    alpha       [depth] steps that accepted at least that depth, of the LAST turn only (eagle/model/utils_alpha.py)
    alpha_num   [depth] steps that had got as far and tried it; alpha / alpha_num is the hazard, alpha_num[0] the steps

The steps themselves are not recorded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traces.acceptance_log import AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, counts, named, text
from traces.importers.acceptance.spec_bench import answers, lossy, temperature


def detects(path: Path, head: str) -> bool:
    """By the indices of the last steps."""
    return '"idxs"' in head and '"question_id"' in head and '"accept_lengths"' not in head


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival by question where alpha was counted, else tokens per step by question."""
    faults = Faults()
    requests: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    flags = {"shape-unknown"}
    for file in files:
        for place, question, choice, name in answers(file, faults):
            model = text(question, "model_id")
            flags |= {"lossy"} if lossy(model) else set()
            known = {"category": text(question, "category"), "temperature": temperature(model)}
            known["group"] = file.group
            request = len(requests)
            requests.append({"request": request, "id": name, **known})
            if "alpha" in choice:
                curves += _survival(choice, place, faults, request=request, **known)
            else:
                means += _mean(choice, place, faults, request=request, **known)
    notes = []
    if curves:
        notes.append("alpha is of the last turn of every question; survival is alpha over the steps of that turn.")
    if means:
        notes.append("Tokens per step are means by question; their last steps may reach beyond the end of the text.")
    return AcceptanceLog.of(
        named(files), faults, requests=requests, curves=curves, means=means, flags=flags, notes=notes
    )


def _survival(choice: dict[str, Any], place: str, faults: Faults, **known: Any) -> list[dict[str, Any]]:
    reached = counts(choice, "alpha", place, faults)
    tried = counts(choice, "alpha_num", place, faults)
    if not reached or not tried or len(reached) != len(tried) or not tried[0]:
        faults.add("entries whose alpha and alpha_num are not counts of the same depths", place)
        return []
    possible = [tried[0], *reached[:-1]]
    if any(not a <= n <= most for a, n, most in zip(reached, tried, possible, strict=True)):
        faults.add(
            "entries whose alpha and alpha_num are no counts of successive depths", f"{place}: {reached} of {tried}"
        )
        return []
    return survival_rows(reached, tried[0], draft_length=len(reached), **known)


def _mean(choice: dict[str, Any], place: str, faults: Faults, **known: Any) -> list[dict[str, Any]]:
    last, by_turn = counts(choice, "idxs", place, faults), counts(choice, "new_tokens", place, faults)
    if not last or not by_turn or len(last) != len(by_turn):
        faults.add("entries without idxs and new_tokens of the same turns", place)
        return []
    steps, tokens = sum(index + 1 for index in last), sum(by_turn)
    if tokens < steps:
        faults.add("entries with fewer new tokens than steps", f"{place}: {tokens} in {steps}")
        return []
    return [{"steps": steps, "accepted": tokens - steps, "tokens_per_step": tokens / steps, **known}]
