"""One self-contained page from a results folder, and the same answer for the terminal; each study fills in its own."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from reports import style
from reports.policy import stated
from reports.words import listed, percent
from studies import results
from studies.results import Results, write_atomically

PIXELS_PER_INCH = 96
INLINE = ("page.css", "explorer.css", "explorer_script.js")  # what a page may hold of scripts and style sheets
LONGEST_NUMBER = 20  # characters
INDENT = re.compile(r"\n\s+")
PLAIN = " '()*+,-./:;=?@[]_{}|~!$^"  # stands as it is in an address between double quotes


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    name: str
    title: str
    sentence: str
    figure: Figure
    subject: str = ""

    @property
    def width(self) -> int:
        """Pixels across."""
        return round(PIXELS_PER_INCH * float(self.figure.get_figwidth()))

    @property
    def height(self) -> int:
        """Pixels down."""
        return round(PIXELS_PER_INCH * float(self.figure.get_figheight()))

    @cached_property
    def svg(self) -> bytes:
        """As a drawing."""
        return style.svg(self.figure)

    @property
    def source(self) -> Markup:
        """The drawing itself as an address: nothing to fetch, and its names cannot meet another figure's."""
        drawn = INDENT.sub("\n", self.svg.decode()).replace("\n", " ").replace('"', "'")
        return Markup("data:image/svg+xml," + quote(drawn, safe=PLAIN))  # holds nothing that HTML reads


def pictures(
    part: Any,
    figures: Mapping[str, Callable[[Any], Figure | None]],
    sentences: Mapping[str, tuple[Callable[[Any], str], ...]],
) -> list[Picture]:
    """The figures of one part of the results (it has a `slug`), each with the title and sentence said of it."""
    found = []
    with style.applied():
        for name, draw in figures.items():
            figure = draw(part)
            if figure is not None:
                title, sentence = (say(part) for say in sentences[name])
                found.append(Picture(f"{part.slug}-{name}", title, sentence, figure, part.subject))
    return found


@dataclass(frozen=True)
class Page:
    """What a study puts on its page: a template, what it is filled with, and the figures to keep as files."""

    template: str
    filling: dict[str, Any]
    pictures: list[Picture]


@dataclass(frozen=True)
class Brief:
    """What a study prints: the answer in sentences, then tables of (title, headings, rows)."""

    sentences: list[str]
    tables: list[tuple[str, list[str], list[list[str]]]]
    caveat: str


def brief(found: Results) -> Brief:
    """The answer of any study for the terminal."""
    return _study(found.study).brief(found)


def answer(found: Results) -> list[str]:
    """The answer in words."""
    return brief(found).sentences


def of(read: Results) -> Page:
    """The page of any study."""
    made: Page = _study(read.study).page(read)
    return made


def figures_of(folder: Path | str) -> dict[str, Figure]:
    """The figures of a results folder as matplotlib objects, to show, restyle and save, by the names of their files."""
    return {picture.name: picture.figure for picture in of(results.read(folder)).pictures}


def render(folder: Path) -> list[str]:
    """Draw a folder's figures and write its `report.html`; returns the relative names of the files."""
    read = results.read(folder)
    page = of(read)
    configuration = folder / "study.toml"
    return write(
        folder,
        page,
        study=read.study,
        facts={name: _fact(value) for name, value in sorted(read.meta.items())},
        configuration=configuration.read_text() if configuration.is_file() else "",
    )


def write(folder: Path, page: Page, name: str = "report.html", **filling: Any) -> list[str]:
    """Write a page's figures and the page as `name`, its template filled with `filling` too; returns their names."""
    written = []
    for picture in page.pictures:
        for suffix, content in (("svg", picture.svg), ("png", style.png(picture.figure))):
            written.append(f"figures/{picture.name}.{suffix}")
            write_atomically(folder / written[-1], writer(content))
    write_atomically(folder / name, writer(_filled(page, filling).encode()))
    return [*written, name]


def _study(name: str) -> Any:
    from reports import compare, economics, frontier, optimal_k, sensitivity, stress, validate

    studies = {"optimal-k": optimal_k, "economics": economics, "stress": stress, "frontier": frontier}
    return (studies | {"sensitivity": sensitivity, "validate": validate, "compare": compare})[name]


def _filled(page: Page, filling: dict[str, Any]) -> str:
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
    environment.filters["columns"] = _columns
    own = {environment.get_template(name).render().strip() for name in INLINE}
    return stated(environment.get_template(page.template).render(**page.filling, **filling), own)


def _unbroken(text: str) -> str:
    """The text with every per cent and times sign kept on its number's line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" ×", "\N{NO-BREAK SPACE}×")


def _columns(rows: list[list[str]]) -> dict[int, Markup]:
    """The class of each column: text where a cell is longer than a number is."""
    wide = {place for row in rows for place, cell in enumerate(row) if len(cell) > LONGEST_NUMBER and cell[0].isalpha()}
    return defaultdict(Markup, {place: Markup(' class="text"') for place in wide})


def _fact(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return listed([f"{name} {inner}" for name, inner in sorted(value.items())]) if value else "none"
    return str(value)


def writer(content: bytes) -> Callable[[Path], None]:
    """What `write_atomically` calls to write these bytes."""

    def write(path: Path) -> None:
        path.write_bytes(content)

    return write
