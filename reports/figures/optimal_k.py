"""How far to draft: the figures of the study `optimal-k`.

Each takes one scenario and returns a matplotlib figure, or None where the results have nothing to draw.
Draw inside `style.applied()`. Intervals are the study's columns.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from reports import findings, style
from reports.figures.batches import BATCH, stretches
from reports.scenario import Row, Scenario
from reports.words import percent

LINES = 6  # more lines than this are a thicket
BESIDE = 0.012  # of the axis, between bars at one length
EVEN = (0, (5, 3))  # the dashes of a break-even line


def speedup(scenario: Scenario) -> Figure | None:
    """Speedup against draft length, a line per batch: with the 5-95 % band over single batches, or, where prices are
    drawn and bands would hide each other, with a bar at its best length.
    """
    if scenario.drafts.is_empty() or scenario.priced["draft_length"].n_unique() < 2:
        return None
    priced = scenario.priced.filter(pl.col("context_tokens") == scenario.context)
    batches = spread(priced["batch"].unique().sort().to_list(), keep=scenario.peak()["batch"])
    shown = priced.filter(pl.col("batch").is_in(batches))
    lengths = shown["draft_length"].unique().sort().to_list()
    colours = dict(zip(batches, style.shades(len(batches)), strict=True))
    spans = "bar: 5–95 % of worlds at the best length" if scenario.drawn else "band: 5–95 % of single batches"
    guide = f"line: mean · {spans} · ring: best draft length"
    figure, (axes,) = style.canvas(4.4, findings.speedup_title(scenario), scenario.subject, guide)
    labels: list[style.Label] = [(lengths[-1], 1.0, "no speculation", style.INK)]
    for number, (batch, marker) in enumerate(zip(batches, style.MARKERS, strict=False)):
        line, colour = shown.filter(pl.col("batch") == batch), colours[batch]
        best = line.sort("speedup", descending=True, maintain_order=True).row(0, named=True)
        if scenario.drawn:  # beside each other where several lines are best at one length
            place = best["draft_length"] + BESIDE * (number - (len(batches) - 1) / 2) * (lengths[-1] - lengths[0])
            axes.vlines(place, best["speedup_p05"], best["speedup_p95"], color=colour, linewidth=2, alpha=0.7)
        else:
            low, high = line["speedup_batch_p05"].to_numpy(), line["speedup_batch_p95"].to_numpy()
            axes.fill_between(line["draft_length"].to_numpy(), low, high, color=colour, alpha=0.2, linewidth=0)
        ring: style.Look = {"ms": 11, "mfc": "none", "mec": colour, "mew": 1.6, "zorder": 4}
        axes.plot(best["draft_length"], best["speedup"], "o", **ring)
        end = line.row(-1, named=True)
        axes.plot(end["draft_length"], end["speedup"], marker, color=colour, ms=5)
        labels.append((end["draft_length"], end["speedup"], f"batch {batch}", colour))
    _lines(axes, shown, colours)
    axes.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    axes.set(xlabel="draft length (tokens drafted ahead)", ylabel="speedup (× no speculation)")
    axes.margins(x=0.02, y=0.1)
    axes.xaxis.set_major_locator(FixedLocator(spread(lengths, 12)))
    _mark_extrapolated(axes, shown, lengths)
    style.label_ends(axes, labels)
    return figure


def best_length(scenario: Scenario) -> Figure | None:
    """The best length over batch x context, and how sure it is; cells that do not fit are hatched."""
    if scenario.drafts.is_empty():
        return None
    cells = {(row["context_tokens"], row["batch"]): row for row in scenario.choices()}
    contexts = sorted({context for context, _ in cells}, reverse=True)
    batches = sorted({batch for _, batch in cells})
    lengths = np.array([[_length(cells[context, batch]) for batch in batches] for context in contexts])
    longest = max(float(np.nanmax(lengths)), 4.0)
    guide = "large: best length · % of worlds in which it is best · use: shortest within 1 % of it"
    if any(row["at_best"] and row["at_best"]["extrapolated"] for row in cells.values()):
        guide += " · *: extrapolated"
    title = findings.best_length_title(scenario)
    height = 1.7 + 0.62 * len(contexts)
    margin = max(0.2, style.width(height) - style.LEFT - 1.4 * len(batches))
    figure, (axes,) = style.canvas(height, title, scenario.name, guide, right=margin)
    shade = style.scale_of_drafts()
    sns.heatmap(
        lengths,
        mask=~(lengths > 0),
        cmap=shade,
        vmin=1,
        vmax=longest,
        cbar=False,
        linewidths=1.5,
        linecolor=style.PAPER,
        xticklabels=batches,
        yticklabels=[f"{context:,}\ntokens" for context in contexts],
        ax=axes,
    )
    axes.grid(False)
    axes.tick_params(length=0, rotation=0)
    axes.set(xlabel=BATCH, ylabel="context")
    for line, context in enumerate(contexts):
        for place, batch in enumerate(batches):
            if cells[context, batch]["at"]:
                ink = style.ink_on(shade((lengths[line, place] - 1) / (longest - 1)))
                _cell(axes, (place, line), cells[context, batch], ink, len(batches))
        for start, stop in stretches(np.isnan(lengths[line]).tolist()):
            _closed_cells(axes, start, stop, line)
    return figure


def distinct_experts(scenario: Scenario) -> Figure | None:
    """Distinct experts against batch, as simulated and under uniform routing, and the ratio of the two."""
    counted = scenario.experts()
    if counted.is_empty() or scenario.uniform:
        return None
    lengths = spread(counted["draft_length"].unique().sort().to_list(), count=3)
    batches = counted["batch"].unique().sort().to_list()
    guide = "solid, filled: simulated · dashed, hollow: uniform routing"
    title = findings.experts_title(scenario)
    figure, (axes, below) = style.canvas(5.3, title, scenario.subject, guide, panels=(2.6, 1))
    labels: dict[Axes, list[style.Label]] = {axes: [], below: []}
    for length, marker, colour in zip(lengths, style.MARKERS, style.shades(len(lengths)), strict=False):
        line = counted.filter(pl.col("draft_length") == length)
        x, end = line["batch"].to_numpy(), line.row(-1, named=True)
        look: style.Look = {"color": colour, "ms": 5, "marker": marker}
        hollow = look | {"linestyle": (0, (4, 2)), "mfc": style.PAPER, "ms": 6}
        axes.plot(x, line["distinct_experts_uniform"].to_numpy(), **hollow)
        axes.plot(x, line["distinct_experts"].to_numpy(), **look)
        below.plot(x, line["ratio"].to_numpy(), **look)
        for panel, column in ((axes, "distinct_experts"), (below, "ratio")):
            labels[panel].append((end["batch"], end[column], f"length {length}", colour))
    below.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    axes.set(ylabel="distinct experts\nper layer and step")
    axes.set_ylim(bottom=0)
    below.set(xlabel=BATCH, ylabel="uniform ÷\nsimulated")
    below.yaxis.set_major_locator(MaxNLocator(nbins=4))
    below.margins(y=0.25)
    below.set_ylim(min(below.get_ylim()[0], 0.95), max(below.get_ylim()[1], 1.05))
    below.ticklabel_format(axis="y", useOffset=False)
    for panel in (axes, below):
        _batch_axis(panel, batches)
        style.label_ends(panel, labels[panel])
    axes.xaxis.set_major_formatter(NullFormatter())
    return figure


FIGURES = {"speedup": speedup, "best-length": best_length, "distinct-experts": distinct_experts}


def spread(values: Sequence[int], count: int = LINES, keep: int | None = None) -> list[int]:
    """At most `count` of the ascending values, evenly spaced; `keep` takes its neighbour's place."""
    places = sorted({round(place) for place in np.linspace(0, len(values) - 1, min(count, len(values)))})
    chosen = [values[place] for place in places]
    if keep is not None and keep not in chosen:
        chosen[min(range(len(chosen)), key=lambda slot: abs(places[slot] - values.index(keep)))] = keep
    return chosen


def _lines(axes: Axes, shown: pl.DataFrame, colours: dict[int, style.Colour]) -> None:
    """The lines of the speedup figure: solid up to the measured depth, dashed from there on."""
    measured = shown.filter(~pl.col("extrapolated"))
    edges = measured.group_by("batch").agg(edge=pl.col("draft_length").max())
    beyond = shown.join(edges, on="batch", how="left").filter(pl.col("draft_length") >= pl.col("edge").fill_null(0))
    for part, dashes in ((measured, ""), (beyond, (3, 1.5))):
        sns.lineplot(
            part.to_dict(as_series=False),
            x="draft_length",
            y="speedup",
            hue="batch",
            style="batch",
            palette=colours,
            markers=dict(zip(colours, style.MARKERS, strict=False)),
            dashes=dict.fromkeys(colours, dashes),
            estimator=None,
            legend=False,
            markersize=5,
            markeredgewidth=0,
            ax=axes,
        )


def _mark_extrapolated(axes: Axes, shown: pl.DataFrame, lengths: list[int]) -> None:
    beyond = shown.filter("extrapolated")["draft_length"].unique().sort().to_list()
    if not beyond:
        return
    before = [length for length in lengths if length < beyond[0]]
    border = (beyond[0] + before[-1]) / 2 if before else beyond[0]
    left = border > (lengths[0] + lengths[-1]) / 2
    axes.axvline(border, color=style.QUIET, linewidth=0.8, linestyle=":")
    axes.annotate(
        f"dashed: acceptance extrapolated from length {beyond[0]} on",
        (border, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if left else 5, 2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom",
        size=8.5,
        color=style.QUIET,
    )


def _length(row: Row) -> float:
    return float("nan") if row["at"] is None else float(row["best_draft_length"])


def _cell(axes: Axes, at: tuple[int, int], row: Row, ink: str, across: int) -> None:
    place, line = at
    if row["best_draft_length"] == 0:
        look: style.Look = {"facecolor": style.GUTTER, "edgecolor": style.PAPER, "linewidth": 1.5}
        axes.add_patch(Rectangle((place, line), 1, 1, **look))
        ink = style.INK
    size = min(1.0, 10 / across)
    middle: style.Look = {"ha": "center", "va": "center", "color": ink}
    mark = "*" if row["at_best"]["extrapolated"] else ""
    axes.text(place + 0.5, line + 0.33, f"{row['best_draft_length']}{mark}", size=14 * size, weight="bold", **middle)
    share = percent(row["p_best"])
    small = share if across <= 13 else share.removesuffix(" %")
    axes.text(place + 0.5, line + 0.68, small, size=max(8 * size, 6), **middle)
    if row["recommended"] != row["best_draft_length"]:
        axes.text(place + 0.5, line + 0.88, f"use {row['recommended']}", size=max(8 * size, 6), **middle)


def _closed_cells(axes: Axes, start: int, stop: int, line: int) -> None:
    look: style.Look = {"facecolor": style.CLOSED, "edgecolor": style.HATCH, "hatch": "////", "linewidth": 0}
    axes.add_patch(Rectangle((start + 0.02, line + 0.02), stop - start - 0.04, 0.96, **look))
    words = "does not fit" if stop - start > 1 else "does\nnot fit"
    card = {"facecolor": style.CLOSED, "edgecolor": "none", "pad": 1.5}
    middle: style.Look = {"ha": "center", "va": "center", "color": style.QUIET}
    axes.text((start + stop) / 2, line + 0.5, words, size=8, bbox=card, **middle)


def _batch_axis(axes: Axes, batches: list[int]) -> None:
    """A logarithmic axis ticked at the batches themselves, those that would collide left out."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(batches[0] / 1.15, batches[-1] * 1.15)
    ticks = [batches[0]]
    for batch in batches[1:]:
        if batch / ticks[-1] >= (batches[-1] / batches[0]) ** (1 / 14):
            ticks.append(batch)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [str(batch) for batch in ticks])
