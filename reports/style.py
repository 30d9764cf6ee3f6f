"""The one visual language of the figures: colours, fonts, sizes, and how a figure becomes a file."""

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from reports.dark import turning

INK, QUIET, RULE, PAPER = "#1b2430", "#5a6675", "#d9dfe6", "#ffffff"
GUTTER = "#f4c48a"  # draft nothing: orange against the blues, apart for every kind of colour vision
DRAFTS = ("#dceaf6", "#b3d0ea", "#7fb0db", "#4b8bc4", "#25669f", "#0f4377")  # short to long
CLOSED, HATCH = "#eceff2", "#c3cad2"  # does not fit in memory

DECIMALS = re.compile(
    r"(?<=[ \"(,-])(?<!scale\()(\d+\.\d\d)\d+(?=[ \",)\n])"
)  # a hundredth of a point is finer than any screen

Look = dict[str, Any]  # keyword arguments of a matplotlib artist
Colour = str | tuple[float, float, float, float]
Label = tuple[float, float, str, Colour]  # x, y, text, colour

WIDTH = 6.2  # inches: letters grow a little in a page's column and stay legible on a phone
LEFT, RIGHT, TOP, BOTTOM = 0.84, 1.3, 1.0, 0.6  # margins in inches; the right one holds line-end labels
TITLE_CHARACTERS, SUBTITLE_CHARACTERS = 58, 88
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}  # as drawn, and in words
MARKERS = tuple(MARKS)

SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # shipped with matplotlib, so the same bytes everywhere
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "text.color": INK,
    "text.parse_math": False,  # a scenario's name may hold a dollar sign
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",  # letters as shapes: nothing to download, nothing to differ
    "svg.hashsalt": "draftodds",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Medium:
    """Where a figure is shown.

    heading: whether it says its finding and subject itself. ratio: least width to height. dots: per inch, as PNG.
    """

    heading: bool
    ratio: float
    dots: int


PAGE = Medium(heading=True, ratio=0, dots=150)
MEDIA = {
    "paper": Medium(heading=False, ratio=0, dots=300),  # a paper's caption says them
    "slides": Medium(heading=True, ratio=16 / 9, dots=300),
}
_medium = ContextVar("medium", default=PAGE)


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save inside this: the settings above over matplotlib's defaults, not the user's."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script the font lacks
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


@contextmanager
def drawn_for(medium: Medium) -> Iterator[None]:
    """What is drawn inside this is for another medium than the page."""
    token = _medium.set(medium)
    try:
        yield
    finally:
        _medium.reset(token)


def width(height: float) -> float:
    """Inches across a figure of a height, in the medium drawn for."""
    return max(WIDTH, _medium.get().ratio * height)


def canvas(
    height: float,
    title: str,
    subject: str,
    guide: str,
    *,
    panels: Sequence[float] = (1,),
    left: float = LEFT,
    right: float = RIGHT,
) -> tuple[Figure, list[Axes]]:
    """A figure with a heading, and panels below each other in the given proportions.

    height: inches, before a heading of more than one line adds to it. title: the finding. subject: of what.
    guide: how to read the marks. left, right: the margins there, inches.
    """
    heading = _lines(title, TITLE_CHARACTERS) if _medium.get().heading else []
    under = [*(_lines(subject, SUBTITLE_CHARACTERS) if heading else []), *_lines(guide, SUBTITLE_CHARACTERS)]
    lines = len(heading) - 1, len(under) - 2  # more or fewer than TOP has room for
    extra = (0.2 if lines[0] > 0 else 0.36) * lines[0] + 0.16 * lines[1]
    tall = max(height + extra, WIDTH / _medium.get().ratio if _medium.get().ratio else 0)
    wide = width(tall)
    figure = Figure(figsize=(wide, tall))
    FigureCanvasAgg(figure)
    figure.text(0.14 / wide, 1 - 0.14 / tall, "\n".join(heading), size=12.5, weight="bold", va="top")
    drop = (0.22 if heading else 0.1) + 0.21 * len(heading)
    figure.text(0.14 / wide, 1 - drop / tall, "\n".join(under), size=9, color=QUIET, va="top", linespacing=1.35)
    grid = figure.add_gridspec(
        len(panels),
        1,
        height_ratios=list(panels),
        left=left / wide,
        right=1 - right / wide,
        top=1 - (TOP + extra) / tall,
        bottom=BOTTOM / tall,
        hspace=0.18,
    )
    return figure, [figure.add_subplot(grid[row]) for row in range(len(panels))]


def shades(count: int) -> list[Colour]:
    """Colours for an ordered quantity, dark to mid: plasma without its pale end, lost on white."""
    scale = mpl.colormaps["plasma"]
    return [scale(0.64 * place / max(count - 1, 1)) for place in range(count)]


def scale_of_drafts() -> Colormap:
    """Colours from a short to a long draft length."""
    return mpl.colors.LinearSegmentedColormap.from_list("drafts", DRAFTS)


def ink_on(colour: Sequence[float]) -> str:
    """The ink that contrasts more with the colour (relative luminance as WCAG 2 defines it)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.21 else PAPER


def svg(figure: Figure) -> bytes:
    """The figure as SVG, dark where its reader asks for it; the same figure gives the same bytes."""
    drawn = _save(figure, "svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}).decode()
    return turning(DECIMALS.sub(r"\1", drawn)).encode()


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    return _save(figure, "png", dpi=_medium.get().dots, metadata={"Software": None})


def pdf(figure: Figure) -> bytes:
    """The figure as PDF, its letters as TrueType (Type 42); the same figure gives the same bytes."""
    return _save(figure, "pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def label_ends(axes: Axes, ends: Sequence[Label], gap: float = 13.0) -> None:
    """Write each label right of the axes beside its line's end, joined to it by a thin leader.

    Labels stay `gap` points apart. Call it last: it reads the axes' limits.
    """
    axes.autoscale_view()  # otherwise put off until drawn, and the limits would not be known yet
    points = 72 / axes.figure.dpi
    edge = axes.get_window_extent().x1 * points
    placed = sorted(ends, key=lambda end: end[1])
    at = [axes.transData.transform((x, y)) * points for x, y, *_ in placed]
    heights = _apart([float(y) for _, y in at], gap)
    for (x, y, text, colour), (right, level), height in zip(placed, at, heights, strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(edge - right + 12, height - level),
            textcoords="offset points",
            color=colour,
            size=9.5,
            weight="bold",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4},
        )


def _apart(levels: list[float], gap: float) -> list[float]:
    """The nearest ascending levels at least `gap` apart: neighbours that are too close share their middle."""
    blocks: list[list[float]] = []
    for level in levels:
        blocks.append([level])
        while len(blocks) > 1 and _top(blocks[-2], gap) + gap > _bottom(blocks[-1], gap):
            last = blocks.pop()
            blocks[-1] += last
    return [_bottom(block, gap) + gap * place for block in blocks for place in range(len(block))]


def _bottom(block: list[float], gap: float) -> float:
    return sum(block) / len(block) - gap * (len(block) - 1) / 2


def _top(block: list[float], gap: float) -> float:
    return _bottom(block, gap) + gap * (len(block) - 1)


def _lines(text: str, characters: int) -> list[str]:
    """At most two lines; what does not fit ends in an ellipsis."""
    lines = textwrap.wrap(text, characters)
    return lines if len(lines) <= 2 else [lines[0], lines[1][: characters - 1].rstrip() + "…"]


def _save(figure: Figure, form: str, **options: Any) -> bytes:
    held = io.BytesIO()
    with applied():
        figure.savefig(held, format=form, **options)
    return held.getvalue()
