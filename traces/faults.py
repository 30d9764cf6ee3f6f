"""The faults of a source, gathered while it is read and said all at once."""

from montecarlo.errors import InputError


class Faults:
    """Faults by kind: how many there are, and where the first is."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}
        self._said: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found or self._said)

    def say(self, sentence: str) -> None:
        """Note a fault of the whole, which has no count and no place."""
        if sentence not in self._said:
            self._said.append(sentence)

    def add(self, what: str, first: str = "", count: int = 1) -> None:
        """Note `count` faults of a kind, the first of them at `first`."""
        if count:
            before, place = self._found.get(what, (0, first))
            self._found[what] = (before + count, place)

    def refuse(self, who: str) -> None:
        """Raise InputError with every kind, its count and first place in one line, if there is any."""
        if self:
            found = [f"{n:,} {what}{f' (first: {first})' if first else ''}" for what, (n, first) in self._found.items()]
            raise InputError(f"{who}: {'; '.join(self._said + found)}")
