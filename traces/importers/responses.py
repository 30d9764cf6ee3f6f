"""What responses of OpenAI-like servers have in common: where their choices are, and how many tokens they hold."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from traces.request import Reading, Request, split

Choices = Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]


def choices(document: Any, place: str, reading: Reading) -> Choices:
    """(place, response, its choices) of a document: a response, a list of them, or a record of a batch or a log."""
    if isinstance(document, list):
        for number, each in enumerate(document):
            yield from choices(each, f"{place} element {number}", reading)
        return
    if not isinstance(document, dict):
        reading.faults.add("documents are no objects", place)
        return
    inner = document.get("response", document.get("body"))
    if isinstance(inner, dict):  # a line of the batch API, or of a log with the response in it
        outer = {key: document[key] for key in ("custom_id", "category", "temperature") if key in document}
        yield from choices(outer | inner, place, reading)
        return
    held = document.get("choices", document.get("outputs", [document]))
    if not isinstance(held, list) or not all(isinstance(choice, dict) for choice in held):
        reading.faults.add("responses whose choices are no list of objects", place)
        return
    yield place, document, held


def request(
    ids: np.ndarray,
    response: dict[str, Any],
    choice: dict[str, Any],
    place: str,
    file: str,
    reading: Reading,
    *,
    alone: bool,
    prompt: int | None = None,
    cut_in_front: bool = False,
) -> Request | None:
    """A request of rows `ids`; None (and a fault) where they are not as many as the response's tokens.

    Rows are prompt + generated - 1, or one more. alone: `usage` counts this choice only. prompt: tokens of the
    prompt, where the caller knows. cut_in_front: rows may begin later in the sequence (SGLang's
    routed_experts_start_len).
    """
    meta = mapping(choice.get("meta_info"))
    told_prompt, told_generated = told(response, choice, alone=alone)
    prompted = told_prompt if prompt is None else prompt
    generated = told_generated
    position = 0
    if prompted is not None and generated is not None:
        short = prompted + generated - 1 - len(ids)
        if short > 0 and cut_in_front:
            reading.note(
                "Responses whose rows begin later than their tokens were cut in front (routed_experts_start_len)."
            )
            position = short
        elif short not in (0, -1):
            said = f"{place}: {len(ids)} rows, {prompted} + {generated} tokens"
            reading.faults.add("responses with neither prompt + generated - 1 rows nor one more", said)
            return None
    if prompted is None:
        reading.note("Responses that do not say how long their prompt is are not split into prompt and decode.")
    name = _first(response.get("custom_id"), response.get("id"), response.get("request_id"), meta.get("id"))
    if name is not None and not alone:
        name = f"{name}/{choice.get('index', place.rpartition(' ')[2])}"
    temperature = response.get("temperature")
    return Request(
        ids=ids,
        phase=split(len(ids), prompted, position),
        place=place,
        file=file,
        id=None if name is None else str(name),
        category=None if response.get("category") is None else str(response["category"]),
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        prompt_tokens=prompted,
        position=position,
    )


def told(response: dict[str, Any], choice: dict[str, Any], *, alone: bool) -> tuple[int | None, int | None]:
    """Tokens of the prompt and generated ones, as the response counts them; None where it does not say."""
    meta, usage = mapping(choice.get("meta_info")), mapping(response.get("usage"))
    prompts = (response.get("prompt_token_ids"), choice.get("prompt_token_ids"), usage.get("prompt_tokens"))
    generated = (choice.get("token_ids"), choice.get("output_ids"), usage.get("completion_tokens") if alone else None)
    return _count(*prompts, meta.get("prompt_tokens")), _count(*generated, meta.get("completion_tokens"))


def mapping(given: Any) -> dict[str, Any]:
    """An object, or an empty one in place of anything else."""
    return given if isinstance(given, dict) else {}


def _count(*given: Any) -> int | None:
    """The first that is a list of tokens, or their number."""
    for each in given:
        if isinstance(each, list):
            return len(each)
        if isinstance(each, int) and each >= 0:
            return each
    return None


def _first(*given: Any) -> Any:
    """The first that is known."""
    return next((each for each in given if each is not None), None)
