"""What a routing importer hands to the store: one request, or counts; and the target's shape, where it is known."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from traces.faults import Faults
from traces.schema import PHASES

PROMPT, DECODE, VERIFY = range(len(PHASES))
UNKNOWN = -1  # a phase the source does not tell
MISSING = np.uint16(65_535)  # while a trace is being written; on disk the top value of its own type


@dataclass(frozen=True)
class Shape:
    """MoE layers, routed experts, experts per token and layers in all of a target; 0: not known."""

    layers: int = 0
    experts: int = 0
    top_k: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Request:
    """ids [tokens, layers, top_k], integers, -1 where not captured; `place` names it in a complaint.

    phase [tokens]: PROMPT, DECODE, VERIFY or UNKNOWN; position: of the first token in the request's sequence, or
    of every token [tokens] where a verify step goes back.
    """

    ids: np.ndarray
    phase: np.ndarray
    place: str
    file: str = ""
    id: str | None = None
    category: str | None = None
    temperature: float | None = None
    prompt_tokens: int | None = None
    position: int | np.ndarray = 0


@dataclass
class Counts:
    """counts [windows, layers, experts] (int64): routing known by frequency only."""

    counts: np.ndarray
    layers: list[int] | None = None  # their depth, where the source tells
    top_k: int = 0


@dataclass
class Reading:
    """What a reader works with: the target's shape, the faults and notes it gathers, and how far it has come."""

    shape: Shape = field(default_factory=Shape)
    faults: Faults = field(default_factory=Faults)
    notes: list[str] = field(default_factory=list)
    model: str | None = None
    layers: list[int] | None = None  # the depth of each layer of the ids, where the source tells

    def note(self, sentence: str) -> None:
        """Note a sentence once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


Requests = Iterator[Request]


def split(tokens: int, prompt: int | None, position: int = 0) -> np.ndarray:
    """Phases [tokens] of rows from `position` on, of a request whose prompt has `prompt` tokens (None: not known)."""
    if prompt is None:
        return np.full(tokens, UNKNOWN, np.int8)
    return np.where(np.arange(position, position + tokens) < prompt, PROMPT, DECODE).astype(np.int8)
