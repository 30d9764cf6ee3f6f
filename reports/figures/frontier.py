"""Throughput against speed per user: the figures of the study `frontier`, one scenario each.

Each returns a matplotlib figure, or None where the results have nothing to draw. Draw inside `style.applied()`.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports import frontier_findings as findings
from reports import style
from reports.figures import batches
from reports.scenario import Row
from reports.share import Share

EVEN = (0, (5, 3))  # the dashes of a line to compare with
PLAIN, DRAFTED = style.QUIET, "#25669f"
APART = 0.09  # of the diagonal: labels of points closer than this are left out
LIMIT = "#b4552d"  # the objective
NARROWEST = 1.8  # an axis reaches at least this far from its middle, by ratio


def frontier(share: Share) -> Figure | None:
    """Tokens per second of a user against those of the device, a point per batch, without and with drafting."""
    if share.priced.is_empty():
        return None
    rows = share.here("results").sort("batch")
    plain = rows.filter(draft_length=0)
    drafted = rows.filter(pl.col("draft_length") == pl.col("best_draft_length"), pl.col("draft_length") > 0)
    guide = "a point per batch, filled on the frontier · numbers: batch · drafted ahead"
    priced = bool(rows["dollars_per_million_tokens"].is_not_null().any())
    right = style.RIGHT if priced else 0.5
    figure, (axes,) = style.canvas(5.0, findings.frontier_title(share), share.subject, guide, right=right)
    axes.set(xscale="log", yscale="log", xlabel="tokens/s of one user", ylabel="tokens/s of the device")
    axes.grid(True, axis="both")
    lines = ((plain, PLAIN, "no drafting", -1), (drafted, DRAFTED, "drafting", 1))
    for line, colour, _, _ in lines:
        axes.plot(line["tokens_per_second_user"], line["tokens_per_second_device"], color=colour, linewidth=1.6)
        for row in line.iter_rows(named=True):
            fill = colour if row["on_frontier"] else style.PAPER
            spot = (row["tokens_per_second_user"], row["tokens_per_second_device"])
            axes.plot(*spot, "o", ms=6 if row["on_frontier"] else 4.5, mfc=fill, mec=colour, mew=1.2, zorder=3)
    axes.margins(x=0.13, y=0.1)
    _objective(axes, share)
    axes.autoscale_view()
    axes.set(xlim=_widened(axes.get_xlim()), ylim=_widened(axes.get_ylim()))
    for axis in (axes.xaxis, axes.yaxis):
        _decades(axis, lambda value: f"{value / 1000:,g}k" if value >= 10_000 else f"{value:,g}")
    for line, colour, name, side in lines:
        _numbered(axes, line, colour, name, side)
    if priced:
        _money(axes, rows.filter(pl.col("dollars_per_million_tokens").is_not_null()).row(0, named=True))
    return figure


def trade(share: Share) -> Figure | None:
    """What drafting gains and what doubling the batch does, by batch."""
    rows = share.here("trades").sort("batch")
    if share.priced.is_empty() or rows.is_empty():
        return None
    sizes = rows["batch"].to_list()
    guide = "blue ground: drafting gains more · grey: doubling the batch does"
    figure, (axes,) = style.canvas(4.0, findings.trade_title(share), share.subject, guide)
    room = share.here("results").filter(pl.col("draft_length") > 0)["batch"].unique()
    drafting = rows.filter(pl.col("batch").is_in(room.implode())).drop_nulls("drafting_gain")
    doubling = rows.drop_nulls("doubling_gain")
    labels: list[style.Label] = []
    for line, column, colour, name, marker in (
        (doubling, "doubling_gain", PLAIN, "batch × 2", "s"),
        (drafting, "drafting_gain", DRAFTED, "drafting", "o"),
    ):
        if line.height:
            axes.plot(line["batch"].to_numpy(), line[column].to_numpy(), marker, ls="-", color=colour, ms=4.5, lw=1.8)
            labels.append((line["batch"][-1], line[column][-1], name, colour))
    axes.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    labels.append((sizes[-1], 1.0, "no gain", style.INK))
    axes.margins(y=0.14)
    axes.autoscale_view()
    axes.set_ylim(min(axes.get_ylim()[0], 0.95), max(axes.get_ylim()[1], 1.2))
    axes.set_ylabel("throughput (× undrafted)")
    borders = batches.edges(sizes)
    _grounds(axes, share, sizes, borders)
    batches.axis(axes, borders[0], borders[-1], listed=sizes)
    style.label_ends(axes, labels)
    return figure


FIGURES = {"frontier": frontier, "doubling": trade}


def _objective(axes: Axes, share: Share) -> None:
    """The slowest a user may be served, and the operating points under it."""
    for point in findings.points(share, share.context):
        if point.objective is None:
            continue
        least = 1 / point.objective
        axes.axvline(least, color=LIMIT, linewidth=1.2, linestyle=EVEN)
        at: style.Look = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "rotation": 90}
        said = f"at most {findings.milliseconds(point.objective)} per token"
        axes.annotate(said, (least, 0), xytext=(4, 6), size=9, color=LIMIT, va="bottom", **at)
        for row in (point.plain, point.drafted):
            if row is not None:
                spot = (row["tokens_per_second_user"], row["tokens_per_second_device"])
                axes.plot(*spot, "o", ms=13, mfc="none", mec=LIMIT, mew=1.8, zorder=4)


def _widened(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits around the same middle, by ratio, that leave a lone point some room."""
    middle, reach = (limits[0] * limits[1]) ** 0.5, max((limits[1] / limits[0]) ** 0.5, NARROWEST)
    return middle / reach, middle * reach


def _numbered(axes: Axes, line: pl.DataFrame, colour: str, name: str, side: int) -> None:
    """Write batches beside their points, above a line or below it, leaving out those that would collide.

    The line's name stands where there is room: above, at its fastest device; below, at its fastest user.
    """
    if line.is_empty():
        return
    ordered = line.sort("tokens_per_second_device")
    ends = [ordered.row(-1, named=True), ordered.row(0, named=True)][::side]
    box = axes.get_window_extent()
    apart = APART * np.hypot(box.width, box.height)
    placed: list[np.ndarray] = []
    for row in [*ends, *line.iter_rows(named=True)]:
        spot = _place(axes, row)
        if any(np.hypot(*(spot - other)) < apart for other in placed):
            continue
        first = not placed
        placed.append(spot)
        ahead = f" · {row['draft_length']}" if row["draft_length"] else ""
        said = (
            f"{name}: batch {row['batch']:,}{ahead}{' ahead' if ahead else ''}" if first else f"{row['batch']:,}{ahead}"
        )
        look: style.Look = {"size": 8.5, "color": colour, "weight": "bold" if first else "normal"}
        look |= {"ha": "left" if side > 0 else "right", "va": "bottom" if side > 0 else "top"}
        look["bbox"] = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.8}
        at = (row["tokens_per_second_user"], row["tokens_per_second_device"])
        axes.annotate(said, at, xytext=(5 * side, 4 * side), textcoords="offset points", **look)


def _place(axes: Axes, row: Row) -> np.ndarray:
    """Where a point is drawn, in pixels."""
    return np.asarray(axes.transData.transform((row["tokens_per_second_user"], row["tokens_per_second_device"])))


def _money(axes: Axes, row: Row) -> None:
    """A second axis on the right: dollars per million tokens, which the device's throughput alone decides."""
    product = row["dollars_per_million_tokens"] * row["tokens_per_second_device"]
    low, high = axes.get_ylim()
    other = axes.twinx()
    other.set(yscale="log", ylabel="dollars per million tokens", ylim=(product / low, product / high))
    other.grid(False)
    _decades(other.yaxis, "${:g}".format)


def _decades(axis: Axis, words: Callable[[float], str]) -> None:
    """Ticks at 1, 2 and 5 of every decade, in words."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axis.set_minor_locator(NullLocator())


def _grounds(axes: Axes, share: Share, sizes: list[int], borders: np.ndarray) -> None:
    """Colour the ground by what gains more; hatch it where twice the batch does not fit."""
    colours = {findings.DRAFTING: style.DRAFTS[0], findings.DOUBLING: style.CLOSED}
    low, high = axes.get_ylim()
    for first, last, state in findings.comparisons(share, share.context):
        left, right = borders[sizes.index(first)], borders[sizes.index(last) + 1]
        if state in colours:
            axes.axvspan(left, right, color=colours[state], linewidth=0, zorder=0)
        elif state == findings.CLOSED:
            axes.axvspan(left, right, facecolor=style.PAPER, edgecolor=style.HATCH, hatch="////", linewidth=0, zorder=0)
            card = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.5}
            upright: style.Look = {"rotation": 90, "ha": "center", "va": "top", "size": 8, "zorder": 0.5}
            spot = ((left * right) ** 0.5, low + 0.96 * (high - low))
            axes.text(*spot, "no room to double", color=style.QUIET, bbox=card, **upright)
