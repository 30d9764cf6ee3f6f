"""What moves the answer and what knowing is worth: the figures of the study `sensitivity`, one scenario each.

Each returns a matplotlib figure, or None where the results have nothing to draw. Draw inside `style.applied()`.
"""

import textwrap

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from reports import sensitivity_findings as findings
from reports import style
from reports.figures import batches
from reports.scenario import Row
from reports.share import Share

ROWS = 8  # unknowns shown
NAMES = 2.35  # inches for the names of unknowns
ROW = 0.34  # inches
LESS, MORE = "#b4552d", "#25669f"
MEASURED, PERFECT = "#25669f", style.QUIET
PRIOR = 1.645  # normals of 5 % and 95 %


def hangs(share: Share) -> Figure | None:
    """Total-order shares of the variance of log speedup, a dot per shown batch."""
    groups = findings.ranked(share).drop_nulls("total").head(ROWS)["group"].to_list()
    if not groups:
        return None
    guide = "share of the variance of log speedup that hangs on it, by batch"
    figure, axes = _names(share, findings.hangs_title(share), guide, [findings.label(share, one) for one in groups])
    shown = findings.batches(share)
    colours = style.shades(len(shown))
    for place, (batch, colour) in enumerate(zip(shown, colours, strict=True)):
        offset = 0.22 * (place - (len(shown) - 1) / 2)
        rows = {row["group"]: row for row in _log_speedup(share, batch)}
        at = [g for g, group in enumerate(groups) if rows[group]["total"] is not None]
        total = [100 * rows[groups[g]]["total"] for g in at]
        error = [100 * rows[groups[g]]["total_se"] for g in at]
        look: style.Look = {"fmt": style.MARKERS[place], "color": colour, "ms": 5.5, "lw": 1.2}
        axes.errorbar(total, [g + offset for g in at], xerr=error, label=f"batch {batch}", **look)
    axes.set_xlabel("% of variance")
    axes.set_xlim(0, max(axes.get_xlim()[1], 10))
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return figure


def worth(share: Share) -> Figure | None:
    """What measurements and perfect knowledge are worth, in percent of throughput."""
    bars: list[tuple[str, float, float, str]] = []
    for row in findings.overall(share, "measurement"):
        unit = row["unit"].removesuffix("s") if row["size"] == 1 else row["unit"]
        bars.append((f"{row['label']}, {row['size']:,} {unit}", row["percent"], row["percent_se"], MEASURED))
    known = [row for row in findings.overall(share, "unknown") if row["percent"] > findings.NOTHING]
    for row in [findings.everything(share), *known[:5]]:
        name = row["label"] if row["what"] == "everything" else f"exactly: {_label(share, row['what'], row['label'])}"
        bars.append((name, row["percent"], row["percent_se"], PERFECT))
    bars.sort(key=lambda bar: -bar[1])
    guide = "blue: a measurement one can make · grey: knowing exactly, for comparison"
    figure, axes = _names(share, findings.worth_title(share), guide, [bar[0] for bar in bars])
    for place, (_, value, error, colour) in enumerate(bars):
        axes.barh(place, value, height=0.62, color=colour, xerr=2 * error, error_kw={"lw": 1, "ecolor": style.INK})
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_xlabel("throughput gained, %")
    return figure


def tornado(share: Share) -> Figure | None:
    """Speedup with one unknown at its 5 % and 95 %."""
    batch = findings.middle(share)
    rows = share["tornado"].filter(batch=batch).to_dicts()
    rows.sort(key=lambda row: -abs(row["speedup_high"] - row["speedup_low"]))
    rows = rows[:ROWS]
    guide = f"batch {batch}, {rows[0]['draft_length']} drafts · circle: unknown at its 5 % · square: at its 95 %"
    names = [findings.label(share, row["group"]) for row in rows]
    figure, axes = _names(share, findings.tornado_title(share), guide, names)
    for place, row in enumerate(rows):
        axes.plot([row["speedup_low"], row["speedup_high"]], [place] * 2, color=style.RULE, linewidth=7, zorder=1)
        for end, marker in (("speedup_low", "o"), ("speedup_high", "s")):
            colour = MORE if row[end] >= row["speedup_median"] else LESS
            axes.plot(row[end], place, marker, color=colour, ms=7, zorder=2)
    axes.axvline(rows[0]["speedup_median"], color=style.QUIET, linewidth=1)
    axes.axvline(1, color=style.INK, linewidth=1.4, linestyle=(0, (5, 3)))
    axes.annotate(
        "no gain", (1, 1), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points", size=9
    )
    axes.set_xlabel("speedup (×)")
    return figure


def break_even(share: Share) -> Figure | None:
    """Lines of equal speedup over the two unknowns that matter most, on the ground of the best length."""
    rows = share["contours"].filter(batch=findings.middle(share)).sort("x_normal", "y_normal")
    if rows.is_empty():
        return None
    first = rows.row(0, named=True)
    title, guide = findings.break_even_title(share), "lines: speedup · ground: best length · dotted: central 90 %"
    figure, (axes,) = style.canvas(5.0, title, share.subject, guide)
    axes.grid(False)
    x, y = (rows[name].unique().sort().to_numpy() for name in ("x_normal", "y_normal"))
    shape = (len(x), len(y))
    best, speedup = (rows[name].to_numpy().reshape(shape).T for name in ("best_draft_length", "speedup"))
    starts = [start for start, _, _ in batches.CLASSES]
    classes = ListedColormap([colour for _, colour, _ in batches.CLASSES])
    norm = BoundaryNorm([*(start - 0.5 for start in starts), 1e6], len(starts))
    axes.pcolormesh(x, y, best, cmap=classes, norm=norm, shading="nearest", rasterized=True)
    drawn = axes.contour(x, y, speedup, levels=_levels(speedup), colors=style.INK, linewidths=0.8)
    axes.clabel(drawn, fmt="%g×", fontsize=8)
    if speedup.min() < 1 < speedup.max():
        even = axes.contour(x, y, speedup, levels=[1.0], colors=LESS, linewidths=2.4)
        axes.clabel(even, fmt="breaks even", fontsize=9)
    for edge in (-PRIOR, PRIOR):
        axes.axvline(edge, color=style.INK, linewidth=0.8, linestyle=":")
        axes.axhline(edge, color=style.INK, linewidth=0.8, linestyle=":")
    axes.set_xlabel(_with_unit(share, first["x"]))
    axes.set_ylabel(_with_unit(share, first["y"]))
    ticks = [-PRIOR, 0.0, PRIOR]
    axes.set_xticks(ticks, _quantiles(share, first["x"]))
    axes.set_yticks(ticks, _quantiles(share, first["y"]), rotation=90, va="center")
    batches.key(axes, "best length")
    return figure


def gutter(share: Share) -> Figure | None:
    """P(no length pays) by batch, over the priors and with answers to the post taken back."""
    rows = share["gutter"].filter(pl.col("batch").is_not_null())
    sizes = rows["batch"].unique().sort().to_list()
    if len(sizes) < 3:
        return None
    guide = "in how many draws no length pays; the other lines take back what the post left out"
    figure, (axes,) = style.canvas(4.2, findings.gutter_title(share), share.subject, guide, right=0.3)
    names = rows["assumption"].unique(maintain_order=True).to_list()
    for name, colour, marker in zip(names, [MORE, *style.shades(len(names) - 1)], style.MARKERS, strict=False):
        line = rows.filter(assumption=name).sort("batch")
        main = name == findings.AS_DRAWN
        shown = (100 * line["p_none"]).to_numpy()
        look: style.Look = {"marker": marker, "color": colour, "lw": 2.6 if main else 1.2, "ms": 4.5}
        axes.plot(line["batch"].to_numpy(), shown, label=name, **look)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.0))
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    axes.set_ylabel("no length pays, % of draws")
    borders = batches.edges(sizes)
    batches.axis(axes, borders[0], borders[-1])
    return figure


FIGURES = {"hangs": hangs, "worth": worth, "tornado": tornado, "break-even": break_even, "gutter": gutter}


def _names(share: Share, title: str, guide: str, names: list[str]) -> tuple[Figure, Axes]:
    """A canvas with a row for each name, the first on top."""
    figure, (axes,) = style.canvas(
        style.TOP + style.BOTTOM + ROW * max(len(names), 3), title, share.subject, guide, left=NAMES, right=0.3
    )
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.set_yticks(range(len(names)), ["\n".join(textwrap.wrap(name, 36)[:2]) for name in names], fontsize=8.5)
    axes.tick_params(axis="y", labelcolor=style.INK, length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure, axes


def _log_speedup(share: Share, batch: int) -> list[Row]:
    return share["indices"].filter(figure="log_speedup", batch=batch).to_dicts()


def _label(share: Share, what: str, words: str) -> str:
    alone = share["unknowns"].filter(group=what)
    return findings.label(share, what) if alone.height else words


def _with_unit(share: Share, group: str) -> str:
    units = share["unknowns"].filter(group=group)["unit"].to_list()
    plain = len(units) > 1 or not units[0] or units[0].split()[0] == "s"
    return findings.label(share, group) if plain else f"{findings.label(share, group)} ({units[0]})"


def _levels(speedup: np.ndarray) -> list[float]:
    """Round levels inside the range, five at most, and not 1, which has a line of its own."""
    for step in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
        levels = np.arange(np.ceil(speedup.min() / step), np.floor(speedup.max() / step) + 1) * step
        if len(levels) <= 6:
            break
    return [float(level) for level in levels if abs(level - 1) > 1e-9] or [float(speedup.mean())]


def _quantiles(share: Share, group: str) -> list[str]:
    """5 %, 50 % and 95 % of one unknown in its unit; of several together only the percents."""
    row = share["unknowns"].filter(group=group).row(0, named=True)
    if share["unknowns"].filter(group=group).height > 1:
        return ["5 %", "median", "95 %"]
    values = [row[name] for name in ("p05", "p50", "p95")]
    if row["unit"] == "s" or row["unit"].startswith("s per"):
        return [f"{1e3 * value:.3g} ms" for value in values]
    return [f"{value:.2g}" for value in values]
