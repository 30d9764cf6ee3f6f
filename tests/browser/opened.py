"""A report open in the browser: its explorer's sliders, switches and words."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.explored import At, Part


@dataclass(frozen=True)
class Opened:
    """A report in the browser, and what it said while it was open."""

    page: Any
    folder: Path
    heard: list[str]

    @property
    def words(self) -> str:
        """The sentence that states the answer."""
        return str(self.page.locator("#explorer-answer").text_content()).replace("\N{NO-BREAK SPACE}", " ")

    def scenarios(self) -> list[Part]:
        """Those of explorer.json."""
        return list(json.loads((self.folder / "explorer.json").read_text("utf-8"))["scenarios"])

    def choose(self, scenario: int) -> None:
        """Open a scenario, all as studied."""
        if self.page.locator("#explorer-scenario").is_visible():
            self.page.locator("#explorer-scenario").select_option(index=scenario)

    def says(self, name: str) -> str:
        """What a slider says of where it stands."""
        return str(self.page.locator(f"#explorer-{name}").get_attribute("aria-valuetext"))

    def most(self, name: str) -> int:
        """The last stop of a slider."""
        return int(self.page.locator(f"#explorer-{name}").get_attribute("max"))

    def move(self, name: str, stop: int) -> None:
        """Put a slider on a stop, as a hand would."""
        self.page.locator(f"#explorer-{name}").evaluate(
            "(slider, stop) => { slider.value = stop; slider.dispatchEvent(new Event('input')); }", stop
        )

    def switch(self, term: str) -> None:
        """Switch a term on or off."""
        self.page.locator(f"#explorer-switches input[name={term}]").click()

    def speedups(self) -> list[float | None]:
        """Of every draft length, from the label of the chart (two digits)."""
        label = self.page.locator("#explorer-speedup svg").get_attribute("aria-label")
        return [None if "fit" in one else float(one) for one in re.findall(r"\d+: ([\d.]+|does not fit)", label)]

    def at(self, alphas: list[float], off: frozenset[str] = frozenset()) -> At:
        """Where the sliders say that they stand."""

        def first(name: str) -> float:
            return float(re.search(r"[\d.,]+", self.says(name)).group().replace(",", ""))  # type: ignore[union-attr]

        def moved(name: str) -> bool:
            return not self.says(name).startswith("as studied")

        return At(
            batch=int(first("batch")),
            context=int(first("context")),
            alpha=alphas.index(first("acceptance")) if moved("acceptance") else None,
            cost=first("cost") / 100 if moved("cost") else None,
            off=off,
        )
