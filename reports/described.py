"""The frames of a described trace, as the figures and sentences use them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montecarlo.errors import InputError

NAMES = ("about", "notes", "load", "overlap", "windows", "batches", "ranks", "runs", "spread", "tokens_per_step")
AS_READ = ("curves", "means")
SIZES = ("requests", "tokens", "steps", "layers", "experts")

Row = dict[str, Any]


@dataclass(frozen=True)
class Described:
    """Frames by name; those a trace has no data for are absent. Columns: docs/describe.md."""

    frames: dict[str, pl.DataFrame]

    @classmethod
    def read(cls, folder: Path) -> "Described":
        """The frames in a folder; raises InputError where it is no description of a trace."""
        found = {name: folder / f"{name}.parquet" for name in NAMES + AS_READ}
        try:
            frames = {name: pl.read_parquet(path) for name, path in found.items() if path.is_file()}
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"{folder} cannot be read: damaged; describe the trace again") from error
        if "about" not in frames:
            raise InputError(f"{folder} is no description of a trace (about.parquet missing)")
        return cls(frames)

    def __contains__(self, name: str) -> bool:
        return name in self.frames and not self.frames[name].is_empty()

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.frames[name]

    @property
    def facts(self) -> dict[str, str]:
        """What the trace is."""
        return {fact: plain(value) for fact, value in self["about"].iter_rows()}

    @property
    def notes(self) -> list[str]:
        """What was assumed and left out."""
        return [plain(note) for note in self["notes"]["note"]]

    @property
    def name(self) -> str:
        """What was recorded, in a few words."""
        return self.facts.get("model") or self.facts["trace"]

    @property
    def subject(self) -> str:
        """The name and the size."""
        sizes = {name: self.facts[name] for name in SIZES if self.facts.get(name, "0") != "0"}
        counted = [f"{size} {name.removesuffix('s') if size == '1' else name}" for name, size in sizes.items()]
        counted += ["acceptance in sums, no single steps"] if any(name in self for name in AS_READ) else []
        return f"{self.name}: {', '.join(counted)}" if counted else self.name

    @property
    def experts(self) -> int:
        """Routed experts."""
        return int(self.facts["experts"].replace(",", ""))

    def layers(self, name: str, **where: object) -> pl.DataFrame:
        """The rows of a frame that are of one layer."""
        return self._of(name, where).filter(pl.col("layer").is_not_null())

    def mean(self, name: str, **where: object) -> pl.DataFrame:
        """The rows of a frame that are of the mean over layers."""
        return self._of(name, where).filter(pl.col("layer").is_null())

    def whole(self, name: str, **where: object) -> pl.DataFrame:
        """The rows of a frame that are of all steps."""
        return self._of(name, {"by": "all", **where})

    def strata(self, name: str, by: str) -> list[tuple[str, pl.DataFrame]]:
        """(value, rows) of each stratum of a frame, in its order."""
        rows = self._of(name, {"by": by})
        return [(plain(str(value)), held) for (value,), held in rows.group_by("value", maintain_order=True)]

    def _of(self, name: str, where: dict[str, object]) -> pl.DataFrame:
        return self.frames[name].filter(*(pl.col(column) == value for column, value in where.items()))


def plain(text: str) -> str:
    """The text on one line, without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
