"""Measured against predicted: the figures of the study `validate`, one data set each. Draw inside `style.applied()`."""

from itertools import cycle

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports import style
from reports import validate_findings as findings
from reports.figures import batches
from reports.validate_findings import DataSet

NAMES = {"step ratio": "step time (× undrafted)", "throughput gain": "throughput (× undrafted)"}


def diagonal(one: DataSet) -> Figure:
    """Predicted with its 90 % interval against measured, a point per row, coloured by draft length."""
    rows = one.results.filter(quantity=one.quantity)
    name = NAMES.get(one.quantity, one.quantity)
    guide = "a point per row, bar: 90 % interval · on the diagonal: right"
    figure, (axes,) = style.canvas(5.2, findings.diagonal_title(one), one.name, guide)
    axes.set(xscale="log", yscale="log", xlabel=f"measured {name}", ylabel=f"predicted {name}")
    axes.grid(True, axis="both")
    lengths = rows["draft_length"].unique().sort().to_list()
    labels: list[style.Label] = []
    for length, colour, marker in zip(lengths, style.shades(len(lengths)), style.MARKERS, strict=False):
        here = rows.filter(draft_length=length).sort("measured")
        measured, predicted = here["measured"].to_numpy(), here["predicted"].to_numpy()
        bars = [predicted - here["predicted_p05"].to_numpy(), here["predicted_p95"].to_numpy() - predicted]
        look: style.Look = {"fmt": marker, "color": colour, "ms": 4.5, "elinewidth": 0.7, "alpha": 0.85}
        axes.errorbar(measured, predicted, yerr=bars, **look)
        labels.append((measured[-1], predicted[-1], f"{length} ahead", colour))
    columns = ("measured", "predicted_p05", "predicted_p95")
    low = min(float(str(rows[column].min())) for column in columns) / 1.06
    high = max(float(str(rows[column].max())) for column in columns) * 1.06
    axes.plot([low, high], [low, high], color=style.INK, linewidth=1, zorder=1)
    axes.set(xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        _ticks(axis)
    style.label_ends(axes, labels)
    return figure


def cost(one: DataSet) -> Figure:
    """The quantity by draft length and concurrency: measured points on predicted lines with their intervals."""
    rows = one.results.filter(quantity=one.quantity)
    texts = rows["text"].n_unique() > 1 or rows["batch"].n_unique() == 1
    guide = "points: measured · lines and bands: predicted, 90 % interval"
    right = 1.75 if texts else style.RIGHT
    figure, (axes,) = style.canvas(4.4, findings.cost_title(one), one.name, guide, right=right)
    axes.set(ylabel=NAMES.get(one.quantity, one.quantity))
    if one.quantity not in NAMES:
        axes.set_yscale("log")
        _ticks(axes.yaxis)
    labels = _by_text(axes, rows) if texts else _by_batch(axes, rows)
    style.label_ends(axes, labels)
    return figure


def _by_batch(axes: Axes, rows: pl.DataFrame) -> list[style.Label]:
    """A line per draft length along concurrency."""
    lengths = rows["draft_length"].unique().sort().to_list()
    labels: list[style.Label] = []
    for length, colour, marker in zip(lengths, style.shades(len(lengths)), cycle(style.MARKERS)):
        here = rows.filter(draft_length=length).sort("batch")
        batch = here["batch"].to_numpy()
        axes.fill_between(batch, here["predicted_p05"], here["predicted_p95"], color=colour, alpha=0.12, linewidth=0)
        axes.plot(batch, here["predicted"].to_numpy(), color=colour, linewidth=1.6)
        axes.plot(batch, here["measured"].to_numpy(), marker, color=colour, ms=5)
        labels.append((batch[-1], here["predicted"][-1], f"{style.MARKS[marker]} {length} ahead", colour))
    sizes = rows["batch"].unique().sort().to_list()
    borders = batches.edges(sizes)
    batches.axis(axes, borders[0], borders[-1], listed=sizes)
    axes.set_xlabel("concurrency")
    return labels


def _by_text(axes: Axes, rows: pl.DataFrame) -> list[style.Label]:
    """One concurrency: the texts side by side at each draft length, one line and band per target."""
    targets = rows["target"].unique(maintain_order=True).to_list()
    labels: list[style.Label] = []
    for target, colour, marker in zip(targets, style.shades(len(targets)), cycle(style.MARKERS)):
        here = rows.filter(target=target)
        means = here.group_by("draft_length").agg(pl.col("predicted", "predicted_p05", "predicted_p95").median())
        means = means.sort("draft_length")
        length = means["draft_length"].to_numpy()
        axes.fill_between(length, means["predicted_p05"], means["predicted_p95"], color=colour, alpha=0.12, linewidth=0)
        axes.plot(length, means["predicted"].to_numpy(), color=colour, linewidth=1.6)
        aside = (targets.index(target) - (len(targets) - 1) / 2) * 0.12
        axes.plot(here["draft_length"].to_numpy() + aside, here["measured"].to_numpy(), marker, color=colour, ms=4)
        labels.append((length[-1], means["predicted"][-1], f"{style.MARKS[marker]} {target[:16]}", colour))
    axes.set_xticks(np.unique(rows["draft_length"].to_numpy()))
    axes.set_xlabel("tokens drafted ahead")
    return labels


def _ticks(axis: Axis) -> None:
    """Ticks at 1, 1.5, 2, 3, 5 and 7 of every decade, as numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


FIGURES = {"diagonal": diagonal, "cost": cost}
