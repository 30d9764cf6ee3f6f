"""One scenario's share of the results of a study in closed form: what its figures and sentences are about."""

from dataclasses import dataclass

import polars as pl

from reports.scenario import drafter_in_words, shown_context, slugs, subject
from studies.results import Results


@dataclass(frozen=True)
class Share:
    """The frames of one scenario.

    slug: a file name for it, unique in the results. priced: its rows that have a price, in any order.
    """

    name: str
    slug: str
    frames: dict[str, pl.DataFrame]
    priced: pl.DataFrame
    notes: list[str]

    def __getitem__(self, frame: str) -> pl.DataFrame:
        return self.frames[frame]

    def here(self, frame: str) -> pl.DataFrame:
        """The rows of a frame at the shown context."""
        return self.frames[frame].filter(context_tokens=self.context)

    @property
    def contexts(self) -> list[int]:
        """The contexts at which anything fits in memory."""
        return [int(context) for context in self.priced["context_tokens"].unique().sort()]

    @property
    def context(self) -> int:
        """The context shown where only one can be."""
        listed = next(frame for frame in self.frames.values() if "context_tokens" in frame.columns and frame.height)
        return shown_context((self.priced if self.priced.height else listed)["context_tokens"])

    @property
    def acceptance(self) -> str:
        """The scenario's own acceptance in words: alpha where drafts are accepted alike, else its name."""
        name = str(self.frames["results"]["acceptance"][0])
        return f"acceptance {name}" if self.alpha is None else f"alpha {name}"

    @property
    def alpha(self) -> float | None:
        """The scenario's own acceptance where it is one probability."""
        try:
            return float(str(self.frames["results"]["acceptance"][0]))
        except ValueError:
            return None

    @property
    def achieved(self) -> bool:
        """Whether prices hold what an engine achieves and adds."""
        return bool(set(self.frames["results"]["prices"].unique()) - {"ideal", "post"})

    @property
    def subject(self) -> str:
        """What the scenario is about, in words: its name, drafter and shown context."""
        results = self.frames["results"]
        drafter = drafter_in_words(str(results["drafter"][0] or "")) if results.height else ""
        return subject(self.name, drafter, self.context)


def shares(found: Results, listed: str, priced: str) -> list[Share]:
    """The scenarios in the order they were studied.

    listed: a frame in which every scenario has rows. priced: a frame with rows only for what fits in memory.
    """
    names = found[listed]["scenario"].unique(maintain_order=True).to_list()
    mine = {frame: held for frame, held in found.frames.items() if "scenario" in held.columns}
    parts = [{frame: held.filter(scenario=name) for frame, held in mine.items()} for name in names]
    return [
        Share(name, slug, part, part[priced], found.notes.get(name, []))
        for name, slug, part in zip(names, slugs(names), parts, strict=True)
    ]
