"""What a trace shows of itself once it was read: dense layers, fused slots, and the faults of its ids.

A row is the experts [top_k] of one token in one layer. Kept while a trace streams by, in O(layers x top_k):

    a layer whose rows are all the same routes nothing       dense: vLLM and SGLang record it as zeros
    a slot that is never filled                              padding (the SGLang recorder has 8 slots, always)
    the highest id in every row of every layer               a shared expert fused into the routed ones, id E
    an id in a row twice, or beyond the experts there are    a fault
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from traces.request import MISSING, Reading

ENOUGH = 32  # equal choices in a row that chance does not make


@dataclass(frozen=True)
class Repairs:
    """What to keep: layers and slots (indices), the id of the fused expert (None: none), experts, and by whose word."""

    layers: np.ndarray
    slots: np.ndarray
    fused: int | None
    experts: int
    known: bool

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """Rows [tokens, layers, top_k] as they are stored, still with MISSING."""
        if len(self.layers) < ids.shape[1] or len(self.slots) < ids.shape[2]:
            ids = ids[:, self.layers][:, :, self.slots]
        if self.fused is None:
            return ids
        order = np.argsort(ids == self.fused, axis=2, kind="stable")[:, :, :-1]
        return np.take_along_axis(ids, order, axis=2)

    @property
    def top_k(self) -> int:
        """Routed experts per token."""
        return len(self.slots) - (self.fused is not None)

    @property
    def dtype(self) -> np.dtype:
        """uint8 where its top value is no expert's id."""
        return np.dtype(np.uint8 if self.experts <= 255 else np.uint16)


class Tally:
    """Running counts over rows [tokens, layers, top_k] (uint16, MISSING where not captured)."""

    def __init__(self, layers: int, top_k: int) -> None:
        self.tokens, self.highest = 0, -1
        self.rows = np.zeros(layers, np.int64)  # captured
        self.always = np.ones(layers, bool)  # every captured row holds the highest id
        self.same = np.ones(layers, bool)  # every captured row is the first
        self.first = np.full((layers, top_k), MISSING)
        self.filled = np.zeros((layers, top_k), bool)
        self.twice: dict[int, tuple[int, str]] = {}  # layer -> rows, first place
        self.beyond: dict[int, tuple[int, str]] = {}
        self.equal: dict[int, tuple[int, str]] = {}  # to the number of experts: a fused expert, or beyond them

    def add(self, ids: np.ndarray, experts: int, place: str, token: int = 0) -> None:
        """Count rows of one request from `token` on; `experts` of the target (0: not known), `place` for complaints."""
        self.tokens += len(ids)
        held = ids != MISSING
        if held.all():
            captured, highest = np.ones(ids.shape[:2], bool), int(ids.max())
        else:
            captured, highest = held.any(axis=2), int(np.max(ids, where=held, initial=0))
        if not captured.any():
            return
        for layer in np.flatnonzero((self.rows == 0) & captured.any(axis=0)):
            self.first[layer] = ids[np.argmax(captured[:, layer]), layer]
        if highest > self.highest:  # rows before this request did not hold it
            self.highest, self.always = highest, self.rows == 0
        self.rows += captured.sum(axis=0)
        if not self.filled.all():
            self.filled |= held.any(axis=0)
        for layer in np.flatnonzero(self.same):
            self.same[layer] = not (captured[:, layer] & (ids[:, layer] != self.first[layer]).any(axis=1)).any()
        for layer in np.flatnonzero(self.always):
            self.always[layer] = not (captured[:, layer] & (ids[:, layer] != self.highest).all(axis=1)).any()
        if _repeats(ids):
            ordered = np.sort(ids, axis=2)
            twice = ((ordered[:, :, 1:] == ordered[:, :, :-1]) & (ordered[:, :, 1:] != MISSING)).any(axis=2)
            self._note(self.twice, twice, twice.sum(axis=0), ids, place, token)
        if experts and highest >= experts:
            out = held & (ids > experts)
            self._note(self.beyond, out.any(axis=2), out.sum(axis=(0, 2)), ids, place, token)
            equal = ids == experts
            self._note(self.equal, equal.any(axis=2), equal.sum(axis=(0, 2)), ids, place, token)

    @staticmethod
    def _note(
        where: dict[int, tuple[int, str]],
        rows: np.ndarray,
        counts: np.ndarray,
        ids: np.ndarray,
        place: str,
        token: int,
    ) -> None:
        """Add the counts of each layer, and the first of its rows [tokens, layers]."""
        for layer in np.flatnonzero(counts).tolist():
            before, first = where.get(layer, (0, ""))
            at = int(np.argmax(rows[:, layer]))
            said = first or f"{place}, token {token + at}, layer {layer}: {_shown(ids[at, layer])}"
            where[layer] = (before + int(counts[layer]), said)

    def repairs(self, reading: Reading) -> Repairs:
        """What to keep; notes what is dropped and adds the faults of what is kept to `reading`."""
        shape, depths = reading.shape, reading.layers or list(range(len(self.rows)))
        slots = np.flatnonzero(self.filled.any(axis=0))
        dense = self._dense(slots)
        if len(dense) == shape.layers:  # the target says that all of them route
            dense = dense & (self.rows == 0)
        layers = np.flatnonzero(~dense)
        if not layers.size or not slots.size:
            reading.faults.add("tokens have the same experts in every layer: no routing in it", count=self.tokens)
            return Repairs(layers, slots, None, 0, False)
        if dense.any():
            left = _listed([depths[i] for i in np.flatnonzero(dense)])
            reading.note(f"Layers without routing (all their rows are the same) are left out: {left}.")
        if len(slots) < self.filled.shape[1]:
            reading.note(f"{self.filled.shape[1] - len(slots)} slots of each row are never filled and are left out.")
        fused = self._fused(layers, slots, shape.experts)
        if fused is not None:
            reading.note(f"Expert {fused} is in every row: a fused shared expert, left out of the routed ones.")
        experts = shape.experts or (self.highest if fused is not None else self.highest + 1)
        if not shape.experts:
            reading.note(f"The source does not say how many experts there are: {experts} = highest id + 1 is assumed.")
        beyond = f"expert ids are beyond the {experts} experts (physical ids of replicas? turn EPLB off)"
        for what, found in (
            ("rows name an expert twice", self.twice),
            (beyond, {} if fused is not None else self.equal),
            (beyond, self.beyond),
        ):
            for layer in layers:
                count, first = found.get(int(layer), (0, ""))
                reading.faults.add(what, first, count)
        repairs = Repairs(layers, slots, fused, experts, bool(shape.experts))
        for what, has, wants in (
            ("MoE layers", len(layers), shape.layers),
            ("experts per token", repairs.top_k, shape.top_k),
        ):
            if wants and has != wants:
                reading.faults.say(f"it has {has} {what}, the target {wants}")
        return repairs

    def _dense(self, slots: np.ndarray) -> np.ndarray:
        """Layers [layers] whose rows are all the same, beyond chance or in a pattern that no router has."""
        first = self.first[:, slots]
        zeros = (first == 0).all(axis=1) & (len(slots) > 1)
        counted = (first == np.arange(len(slots))).all(axis=1) & (self.rows > 1)
        often = (self.rows - 1) * max(1, len(slots)) >= ENOUGH
        return (self.same & (zeros | counted | often)) | (self.rows == 0)

    def _fused(self, layers: np.ndarray, slots: np.ndarray, experts: int) -> int | None:
        everywhere = bool(self.always[layers].all()) and len(slots) > 1
        beyond = self.highest == experts if experts else self.rows[layers].sum() >= ENOUGH
        return self.highest if everywhere and beyond else None


def _repeats(ids: np.ndarray) -> bool:
    """Whether some row holds an id in two slots (MISSING counts); slot by slot, since sorting is ten times slower."""
    slots = np.ascontiguousarray(ids.reshape(-1, ids.shape[2]).T)
    return any((one == other).any() for one, other in combinations(slots, 2))


def _shown(row: np.ndarray) -> list[int]:
    return [-1 if expert == MISSING else int(expert) for expert in row]


def _listed(numbers: list[int]) -> str:
    """Numbers with neighbours as ranges: 0-2, 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
