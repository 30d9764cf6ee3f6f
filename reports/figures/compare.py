"""Runs side by side: the figures of a comparison, one scenario each. Draw inside `style.applied()`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import compare_findings as findings
from reports import style
from reports.compare_findings import Beside
from reports.figures import batches
from reports.scenario import Row

APART = 0.14  # of a doubling of the batch, between runs at one batch
EVEN = (0, (5, 3))  # the dashes of a line to compare with
DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
NAME = 17  # characters of a run's name beside its line
NUMBERED = 2  # more runs than this leave no place for lengths beside their points


def speedups(one: Beside) -> Figure:
    """Speedup of each run at the length it recommends, along batch, with 90 % of its worlds."""
    banded = one.frames["results"]["speedup_p05"].is_not_null().any()
    numbered = len(one.runs) <= NUMBERED
    guide = "line: speedup at the recommended length" + (" (numbers)" if numbered else "")
    guide += " · bar: 5–95 % of worlds" if banded else ""
    figure, (axes,) = style.canvas(4.4, findings.speedup_title(one), one.subject, guide, right=1.6)
    labels: list[style.Label] = []
    for place, (run, look) in enumerate(zip(one.runs, _looks(len(one.runs)), strict=True)):
        rows = one.line(run)
        x, values = _places(rows, place, len(one.runs)), _column(rows, "speedup")
        axes.plot(x, values, **look)
        axes.vlines(x, _column(rows, "speedup_p05"), _column(rows, "speedup_p95"), color=look["color"], alpha=0.5)
        if numbered:
            _lengths(axes, x, rows, look["color"], above=values.mean() >= _mean_of_others(one, run))
        labels.append((x[-1], values[-1], _short(run), look["color"]))
    axes.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    axes.set(ylabel="speedup (× no speculation)")
    axes.margins(y=0.12)
    _batches(axes, one)
    style.label_ends(axes, [*labels, _at_edge(axes, 1.0, "no speculation")])
    return figure


def differences(one: Beside) -> Figure:
    """Each run's speedup less the baseline's; and tokens per second, where the two differ without drafts too."""
    rebased = any(one.rebased(run) for run in one.others)
    guide = (
        "exact: nothing is drawn" if one.exact else f"bar: ± 2 standard errors, {_errors(one)} · hollow: within them"
    )
    title = findings.difference_title(one)
    height, panels = (5.6, (1.0, 1.0)) if rebased else (3.8, (1.0,))
    figure, drawn = style.canvas(height, title, one.subject, guide, panels=panels, right=1.6)
    columns = [("speedup_difference", 0.0, "difference of\nspeedup (points)")]
    columns += [("device_ratio", 1.0, "tokens/s of the\ndevice, beside it (%)")] if rebased else []
    for panel, (column, level, name) in zip(drawn, columns, strict=True):
        labels: list[style.Label] = []
        for place, (run, look) in enumerate(zip(one.others, _looks(len(one.runs))[1:], strict=True)):
            rows = one.line(run)
            x, values = _places(rows, place, len(one.others)), 100 * (_column(rows, column) - level)
            errors = 200 * _errors_of(rows, column)
            panel.plot(x, values, **look | {"marker": ""})
            panel.vlines(x, values - errors, values + errors, color=look["color"], linewidth=1.8, alpha=0.7)
            for at, value, error in zip(x, values, errors, strict=True):
                fill = look["color"] if abs(value) > max(error, 1e-7) else style.PAPER
                panel.plot(at, value, look["marker"], ms=6, mec=look["color"], mfc=fill, zorder=4)
            labels.append((x[-1], values[-1], _short(run), look["color"]))
        panel.axhline(0, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
        panel.set(ylabel=name)
        panel.margins(y=0.15)
        _batches(panel, one, labelled=panel is drawn[-1])
        style.label_ends(panel, [*labels, _at_edge(panel, 0.0, _short(one.baseline))])
    return figure


FIGURES = {"speedups": speedups, "differences": differences}


def _looks(count: int) -> list[style.Look]:
    """A colour, a marker and dashes for each run: any one of them tells the runs apart."""
    return [
        {
            "color": colour,
            "marker": style.MARKERS[at % len(style.MARKERS)],
            "linestyle": DASHES[at % len(DASHES)],
            "ms": 5.5,
        }
        for at, colour in enumerate(style.shades(count))
    ]


def _column(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)


def _errors_of(rows: Sequence[Row], column: str) -> np.ndarray:
    if column == "speedup_difference":
        return np.array([findings.error(row) for row in rows])
    return np.nan_to_num(_column(rows, f"{column}_se"))


def _places(rows: Sequence[Row], place: int, count: int) -> np.ndarray:
    """The batches of the rows, those of several runs beside each other."""
    return _column(rows, "batch") * 2 ** (APART * (place - (count - 1) / 2))


def _batches(axes: Axes, one: Beside, labelled: bool = True) -> None:
    sizes = [row["batch"] for row in one.line(one.baseline)]
    borders = batches.edges(sizes)
    batches.axis(axes, borders[0], borders[-1], listed=sizes, labelled=labelled)


def _lengths(axes: Axes, x: np.ndarray, rows: Sequence[Row], colour: style.Colour, above: bool) -> None:
    """The recommended length beside each point."""
    for at, row in zip(x, rows, strict=True):
        look: style.Look = {"ha": "center", "va": "bottom" if above else "top", "size": 8, "color": colour}
        axes.annotate(
            str(row["recommended"]),
            (at, row["speedup"]),
            xytext=(7, 5 if above else -5),
            textcoords="offset points",
            **look,
        )


def _mean_of_others(one: Beside, run: str) -> float:
    others = [row["speedup"] for other in one.runs if other != run for row in one.line(other)]
    return float(np.mean(others))


def _at_edge(axes: Axes, level: float, text: str) -> style.Label:
    """A label at the right edge, for a line that goes across."""
    return (axes.get_xlim()[1], level, text, style.INK)


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def _errors(one: Beside) -> str:
    """How the errors were made, in a word."""
    common = {one.line(run)[0]["common_worlds"] for run in one.others}
    return (
        "paired over worlds" if 0 not in common else "of independent runs" if common == {0} else "paired where possible"
    )
