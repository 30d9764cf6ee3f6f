"""The axis most figures share: batch, on a logarithmic scale, each batch filling the place up to its neighbours."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from reports import style

BATCH = "batch (sequences decoded together)"
TICKS = 9  # more collide
CLASSES = (  # of best lengths: the shortest of each, its colour, what it is called
    (0, style.GUTTER, "0: no draft"),
    (1, style.DRAFTS[0], "1"),
    (2, style.DRAFTS[1], "2"),
    (3, style.DRAFTS[2], "3 to 4"),
    (5, style.DRAFTS[3], "5 to 8"),
    (9, style.DRAFTS[5], "9 or more"),
)


def colour_of(length: int) -> str:
    """The colour of a best length."""
    return next(colour for first, colour, _ in reversed(CLASSES) if length >= first)


def edges(batches: Sequence[int]) -> NDArray[np.float64]:
    """Borders between the ascending batches, halfway by ratio, and as far outside the first and the last."""
    sizes = np.asarray(batches, np.float64)
    if len(sizes) == 1:
        return np.asarray([sizes[0] / 2**0.5, sizes[0] * 2**0.5])
    inner = np.sqrt(sizes[1:] * sizes[:-1])
    return np.asarray([sizes[0] ** 2 / inner[0], *inner, sizes[-1] ** 2 / inner[-1]])


def axis(axes: Axes, low: float, high: float, *, listed: Sequence[int] = (), labelled: bool = True) -> None:
    """A logarithmic axis from low to high, ticked at the batches listed if they are few, else at powers of two."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    powers = [1 << place for place in range(64) if low <= 1 << place <= high]
    few = 0 < len(listed) <= TICKS and all(after / before > 1.3 for before, after in pairwise(listed))
    ticks = list(listed) if few else powers[:: -(-len(powers) // TICKS)]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks] if labelled else [""] * len(ticks))
    if labelled:
        axes.set_xlabel(BATCH)


def stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Start and stop of each unbroken stretch of true flags."""
    for flag, places in groupby(range(len(flags)), key=lambda place: flags[place]):
        stretch = list(places)
        if flag:
            yield stretch[0], stretch[-1] + 1


def closed(axes: Axes, left: float, right: float, words: str) -> None:
    """Hatch the axes from left to right: does not fit in memory."""
    low, high = axes.get_ylim()
    look: style.Look = {"facecolor": style.CLOSED, "edgecolor": style.HATCH, "hatch": "////", "linewidth": 0}
    axes.add_patch(Rectangle((left, low), right - left, high - low, **look))
    if words:
        card = {"facecolor": style.CLOSED, "edgecolor": "none", "pad": 1.5}
        middle: style.Look = {"ha": "center", "va": "center", "color": style.QUIET}
        axes.text((left * right) ** 0.5, (low + high) / 2, words, size=8, bbox=card, **middle)


def key(axes: Axes, title: str) -> None:
    """The classes of best lengths, right of the axes, longest on top as on the map."""
    axes.annotate(
        title, (1, 1), xytext=(10, -2), xycoords="axes fraction", textcoords="offset points", size=9, va="top"
    )
    for place, (_, colour, name) in enumerate(reversed(CLASSES)):
        down = -32 - 16 * place
        swatch: style.Look = {"boxstyle": "square,pad=0.32", "facecolor": colour, "edgecolor": style.RULE}
        spot: style.Look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        axes.annotate("  ", (1, 1), xytext=(12, down), size=7, bbox=swatch, **spot)
        axes.annotate(name, (1, 1), xytext=(27, down), size=9, color=style.INK, **spot)
