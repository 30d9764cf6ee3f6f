"""Requests out of rows: logs that hold one token and one layer at a time, requests and layers interleaved."""

from array import array

import numpy as np

from traces.request import Reading, Request, Requests

FIELDS = 3  # token, layer, phase, and then the experts


class Rows:
    """The rows of one file, kept as integers (4 bytes each) until its end.

    Rows whose request is not named (None) belong to the request before, until a token and layer come again.
    """

    def __init__(self, file: str, reading: Reading) -> None:
        self.file, self.reading = file, reading
        self.held = dict[str, "array[int]"]()
        self.prompts: dict[str, int] = {}
        self.top_k = 0
        self.unnamed, self.seen = 0, set[tuple[int, int]]()

    def begin(self) -> None:
        """From here on, rows without a name are of a new request."""
        if self.seen:
            self.unnamed, self.seen = self.unnamed + 1, set()

    def add(self, request: str | None, token: int, layer: int, ids: list[int], phase: int, place: str) -> None:
        """Add one row; one that is none goes to the faults of the reading."""
        self.top_k = self.top_k or len(ids)
        if not _whole(token, layer, *ids) or token < 0 or layer < 0 or not ids:
            self.reading.faults.add("rows whose token, layer or experts are no whole numbers", place)
            return
        if len(ids) != self.top_k:
            self.reading.faults.add(f"rows of another top_k than the first's {self.top_k}", f"{place}: {len(ids)}")
            return
        if max(token, *ids) >= 1 << 31 or min(ids) < -1 or layer >= 1 << 15:
            self.reading.faults.add("rows with numbers that are too large or below -1", place)
            return
        if request is None:
            if (token, layer) in self.seen:
                self.begin()
            self.seen.add((token, layer))
            request = f"#{self.unnamed}"
        self.held.setdefault(request, array("i")).extend((token, layer, phase, *ids))

    def layers(self) -> set[int]:
        """Layers that some row is of."""
        return {int(n) for held in self.held.values() for n in np.unique(self._table(held)[:, 1])}

    def _table(self, held: "array[int]") -> np.ndarray:
        return np.frombuffer(held, np.int32).reshape(-1, FIELDS + self.top_k)

    def requests(self, layers: list[int]) -> Requests:
        """The requests in the order in which they begin, over all `layers`; what no row names is missing."""
        again, where = 0, ""
        for name, held in self.held.items():
            table = self._table(held)
            place = f"{self.file} request {name}"
            token, first = table[:, 0].astype(np.int64), int(table[:, 0].min())
            tokens = int(token.max()) - first + 1
            if tokens > 4 * len(np.unique(token)) + 1000:
                self.reading.faults.add(
                    "requests whose tokens are mostly not there", f"{place}: {first} to {token.max()}"
                )
                continue
            at = (token - first) * len(layers) + np.searchsorted(layers, table[:, 1])
            doubled = len(at) - len(np.unique(at))
            if doubled:
                again, where = again + doubled, where or place
            ids = np.full((tokens * len(layers), self.top_k), -1, np.int32)
            ids[at] = table[:, FIELDS:]  # of rows that come twice the last stays
            phase = np.full(tokens, -1, np.int8)
            phase[token - first] = table[:, 2]
            yield Request(
                ids=ids.reshape(tokens, len(layers), self.top_k),
                phase=phase,
                place=place,
                file=self.file,
                id=f"{self.file}{name}" if name.startswith("#") else name,
                position=first,
            )
        if again:
            self.reading.note(f"{again:,} rows came again (first: {where}), as after a preemption; the last is kept.")


def assembled(files: list[Rows], reading: Reading) -> Requests:
    """The requests of all files, over the layers of all files."""
    for rows in files:
        if not rows.held:
            reading.faults.add("files without a row of routing", rows.file)
    reading.layers = sorted(set[int]().union(*(rows.layers() for rows in files)))
    for rows in files:
        yield from rows.requests(reading.layers)


def _whole(*numbers: object) -> bool:
    return all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
