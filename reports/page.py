"""One self-contained page from a results folder: the answer, the figures behind it, and what it rests on."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from reports import findings, style
from reports.figures.optimal_k import FIGURES
from reports.scenario import Scenario, split
from reports.table import Table, table
from reports.words import CAVEAT, answer, listed, percent, verdict
from studies import results
from studies.results import write_atomically

__all__ = ["answer", "render"]

SENTENCES = {
    "speedup": (findings.speedup_title, findings.speedup_sentence),
    "best-length": (findings.best_length_title, findings.best_length_sentence),
    "distinct-experts": (findings.experts_title, findings.experts_sentence),
}
PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    name: str
    title: str
    sentence: str
    width: int
    height: int
    svg: bytes
    png: bytes

    @property
    def source(self) -> str:
        """The drawing itself as an address: nothing to fetch, and its names cannot meet another figure's."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode()}"


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it."""

    scenario: Scenario
    verdict: str
    pictures: list[Picture]
    table: Table
    along_batch: list[str]
    errors: list[findings.Uncertainty]
    largest_error: str


def render(folder: Path) -> list[str]:
    """Draw a folder's figures and write its `report.html`; returns the relative names of the files."""
    read = results.read(folder)
    sections = [_section(scenario) for scenario in split(read)]
    written = []
    for picture in (picture for section in sections for picture in section.pictures):
        for suffix, content in (("svg", picture.svg), ("png", picture.png)):
            name = f"figures/{picture.name}.{suffix}"
            write_atomically(folder / name, _writer(content))
            written.append(name)
    page = _page(read, sections, folder / "study.toml")
    write_atomically(folder / "report.html", _writer(page.encode()))
    return [*written, "report.html"]


def _section(scenario: Scenario) -> Section:
    drafts = scenario.drafts.height > 0
    return Section(
        scenario=scenario,
        verdict=verdict(scenario),
        pictures=_pictures(scenario),
        table=table(scenario),
        along_batch=findings.along_batch(scenario),
        errors=findings.uncertainties(scenario) if drafts else [],
        largest_error=findings.largest_error(scenario) if drafts else "",
    )


def _pictures(scenario: Scenario) -> list[Picture]:
    pictures = []
    with style.applied():
        for name, draw in FIGURES.items():
            figure = draw(scenario)
            if figure is not None:
                title, sentence = (say(scenario) for say in SENTENCES[name])
                pictures.append(_picture(f"{scenario.slug}-{name}", title, sentence, figure))
    return pictures


def _picture(name: str, title: str, sentence: str, figure: Figure) -> Picture:
    width, height = (round(PIXELS_PER_INCH * float(side)) for side in figure.get_size_inches())
    return Picture(name, title, sentence, width, height, style.svg(figure), style.png(figure))


def _page(read: results.Results, sections: list[Section], configuration: Path) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,  # names and notes come from users' files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    environment.filters["unbroken"] = _unbroken
    named = {section.scenario.name for section in sections}
    return environment.get_template("optimal_k.html.j2").render(
        sections=sections,
        caveat=CAVEAT,
        general_notes=[note for name, notes in read.notes.items() if name not in named for note in notes],
        facts={name: _fact(value) for name, value in sorted(read.meta.items())},
        configuration=configuration.read_text() if configuration.is_file() else "",
    )


def _unbroken(text: str) -> str:
    """The text with every per cent sign kept on its number's line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _fact(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return listed([f"{name} {inner}" for name, inner in sorted(value.items())]) if value else "none"
    return str(value)


def _writer(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write
