"""All faults of a source at once: each kind with its count and its first place."""

from montecarlo.errors import InputError


class Faults:
    """The faults found so far in `source`, by kind."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, first: str, count: int = 1) -> None:
        """`count` more faults of this kind (a plural: "steps that ..."); `first` says where, and what is there."""
        before, where = self._found.get(kind, (0, first))
        self._found[kind] = (before + count, where)

    def __bool__(self) -> bool:
        return bool(self._found)

    def refuse(self) -> None:
        """Raise InputError, one line that names every kind, where there are any."""
        if self._found:
            said = "; ".join(f"{count} {kind} (first: {first})" for kind, (count, first) in self._found.items())
            raise InputError(" ".join(f"{self.source}: {said}".splitlines()))
