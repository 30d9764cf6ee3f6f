"""One self-contained page from a results folder, and the same answer for the terminal; each study fills in its own."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from reports import style
from reports.words import listed, percent
from studies import results
from studies.results import Results, write_atomically

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
    figure: Figure

    @property
    def source(self) -> str:
        """The drawing itself as an address: nothing to fetch, and its names cannot meet another figure's."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode()}"

    @classmethod
    def of(cls, name: str, title: str, sentence: str, figure: Figure) -> "Picture":
        """Draw it; inside `style.applied()`."""
        width, height = (round(PIXELS_PER_INCH * float(side)) for side in figure.get_size_inches())
        return cls(name, title, sentence, width, height, style.svg(figure), style.png(figure), figure)


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
                found.append(Picture.of(f"{part.slug}-{name}", title, sentence, figure))
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


def figures_of(folder: Path | str) -> dict[str, Figure]:
    """The figures of a results folder as matplotlib objects, to show, restyle and save, by the names of their files."""
    read = results.read(folder)
    page: Page = _study(read.study).page(read)
    return {picture.name: picture.figure for picture in page.pictures}


def render(folder: Path) -> list[str]:
    """Draw a folder's figures and write its `report.html`; returns the relative names of the files."""
    read = results.read(folder)
    page: Page = _study(read.study).page(read)
    configuration = folder / "study.toml"
    return write(
        folder,
        page,
        study=read.study,
        facts={name: _fact(value) for name, value in sorted(read.meta.items())},
        configuration=configuration.read_text() if configuration.is_file() else "",
    )


def write(folder: Path, page: Page, **filling: Any) -> list[str]:
    """Write a page's figures and `report.html`, its template filled with `filling` too; returns their names."""
    written = []
    for picture in page.pictures:
        for suffix, content in (("svg", picture.svg), ("png", picture.png)):
            name = f"figures/{picture.name}.{suffix}"
            write_atomically(folder / name, _writer(content))
            written.append(name)
    write_atomically(folder / "report.html", _writer(_filled(page, filling).encode()))
    return [*written, "report.html"]


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
    return environment.get_template(page.template).render(**page.filling, **filling)


def _unbroken(text: str) -> str:
    """The text with every per cent and times sign kept on its number's line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" ×", "\N{NO-BREAK SPACE}×")


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
