"""Routing of a described trace. Each figure takes the trace and its title, and is drawn inside `style.applied()`.

One language: measured is solid and filled, uniform routing dashed, popularity with independent tokens dotted.
"""

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from reports import style
from reports.described import Described

DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.6))
MEASURED, UNIFORM, POPULARITY = "#25669f", style.QUIET, "#9a5b00"
BAND: style.Look = {"alpha": 0.16, "linewidth": 0}


def load(trace: Described, title: str) -> Figure:
    """Experts in effect by layer, and the hottest expert over the mean."""
    rows = trace.layers("load").drop_nulls("hottest")
    guide = "as many equally used experts would be as concentrated (inverse Simpson; entropy)"
    figure, (axes, below) = style.canvas(4.9, title, trace.subject, guide, panels=(1.7, 1))
    place = rows["layer"].to_numpy()
    hollow: style.Look = {"mfc": style.PAPER, "ms": 4.5, "linewidth": 1}
    axes.plot(place, rows["exp_entropy"].to_numpy(), "o-", color=POPULARITY, **hollow)
    axes.plot(place, rows["effective_experts"].to_numpy(), "o-", color=MEASURED, ms=4.5)
    below.plot(place, rows["hottest"].to_numpy(), "s-", color=MEASURED, ms=4.5)
    _level(axes, trace.experts)
    _level(below, 1)
    axes.set(ylabel="experts\nin effect", ylim=(0, trace.experts * 1.08))
    most = 1.15 * float(rows["hottest"].to_numpy().max())
    below.set(ylabel="hottest expert\n÷ mean", xlabel="layer", ylim=(0, most))
    last = rows.row(-1, named=True)
    style.label_ends(
        axes,
        [
            (last["layer"], trace.experts, f"all {trace.experts} alike", style.INK),
            (last["layer"], last["exp_entropy"], "by entropy", POPULARITY),
            (last["layer"], last["effective_experts"], "in effect", MEASURED),
        ],
    )
    below.autoscale_view()
    style.label_ends(
        below, [(last["layer"], 1, "all alike", style.INK), (last["layer"], last["hottest"], "hottest", MEASURED)]
    )
    for panel in (axes, below):
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(NullFormatter())
    return figure


def overlap(trace: Described, title: str) -> Figure | None:
    """Share of experts in common by lag, beside random pairs and uniform routing."""
    rows = trace.mean("overlap", pair="lag").sort("lag")
    if rows.is_empty():
        return None
    guide = "line: mean over layers ± 2 standard errors · band: all layers"
    figure, (axes,) = style.canvas(4.2, title, trace.subject, guide, right=1.75)
    lags = rows["lag"].to_list()
    extremes = (
        trace.layers("overlap", pair="lag")
        .group_by("lag")
        .agg(low=pl.col("overlap").min(), high=pl.col("overlap").max())
    )
    band = extremes.sort("lag")
    axes.fill_between(lags, 100 * band["low"].to_numpy(), 100 * band["high"].to_numpy(), color=MEASURED, **BAND)
    shares, errors = 100 * rows["overlap"].to_numpy(), 200 * rows["overlap_trace_se"].fill_null(0).to_numpy()
    axes.errorbar(lags, shares, errors, color=MEASURED, marker="o", ms=5, linewidth=1.6, capsize=2.5)
    labels: list[style.Label] = [(lags[-1], shares[-1], "measured", MEASURED)]
    looks = {
        "request": ("same request", POPULARITY, DOTTED),
        "pooled": ("any two tokens", POPULARITY, DASHED),
        "uniform": ("uniform", UNIFORM, DASHED),
    }
    for pair, (name, colour, dashes) in looks.items():
        for share in trace.mean("overlap", pair=pair)["overlap"]:
            axes.axhline(100 * share, color=colour, linewidth=1.2, linestyle=dashes)
            labels.append((lags[-1], 100 * share, name, colour))
    axes.set(xlabel="lag (tokens apart)", ylabel="experts in common (%)", ylim=(0, None))
    _doubling(axes, lags)
    style.label_ends(axes, labels)
    return figure


def windows(trace: Described, title: str) -> Figure:
    """Distinct experts against the window, beside uniform routing and popularity."""
    rows = trace.mean("windows").sort("window")
    guide = "band: all layers · popularity: as popular as measured, but independent tokens"
    figure, (axes,) = style.canvas(4.2, title, trace.subject, guide)
    sizes = rows["window"].to_list()
    band = trace.layers("windows").group_by("window").agg(low=pl.col("distinct").min(), high=pl.col("distinct").max())
    band = band.sort("window")
    axes.fill_between(sizes, band["low"].to_numpy(), band["high"].to_numpy(), color=MEASURED, **BAND)
    labels: list[style.Label] = []
    for column, colour, look in (
        ("uniform", UNIFORM, DASHED),
        ("popularity", POPULARITY, DOTTED),
        ("distinct", MEASURED, "-"),
    ):
        axes.plot(sizes, rows[column].to_numpy(), color=colour, linestyle=look, linewidth=1.8)
        labels.append((sizes[-1], rows[column][-1], "measured" if column == "distinct" else column, colour))
    some = rows.filter(pl.col("window").is_in([1, 2, 4, 8, 16, 32]))
    axes.plot(some["window"].to_numpy(), some["distinct"].to_numpy(), "o", color=MEASURED, ms=5)
    axes.set(xlabel="window (tokens in a row: draft length + 1)", ylabel="distinct experts per layer", ylim=(0, None))
    _doubling(axes, some["window"].to_list())
    style.label_ends(axes, labels)
    return figure


def batches(trace: Described, title: str) -> Figure:
    """Distinct experts against the tokens of a step, a line per window: uniform routing knows one line only."""
    rows = trace.mean("batches").with_columns(tokens=pl.col("batch") * pl.col("window")).sort("tokens")
    guide = "solid: 1, 2, 4 .. 64 requests with that many tokens each · band: ± 2 standard errors"
    figure, (axes,) = style.canvas(4.4, title, trace.subject, guide)
    every = rows.unique("tokens", keep="first", maintain_order=True)
    labels: list[style.Label] = []
    for column, grey, look in (("uniform", UNIFORM, DASHED), ("popularity", POPULARITY, DOTTED)):
        axes.plot(every["tokens"].to_numpy(), every[column].to_numpy(), color=grey, linestyle=look, linewidth=1.6)
        labels.append((int(every["tokens"][-1]), float(every[column][-1]), column, grey))
    sizes = rows["window"].unique().sort().to_list()
    for size, marker, colour in zip(sizes, style.MARKERS, style.shades(len(sizes)), strict=False):
        line = rows.filter(pl.col("window") == size)
        at, distinct = line["tokens"].to_numpy(), line["distinct"].to_numpy()
        error = 2 * line["distinct_trace_se"].fill_null(0).to_numpy()
        axes.fill_between(at, distinct - error, distinct + error, color=colour, **BAND)
        axes.plot(at, distinct, color=colour, marker=marker, ms=5, linewidth=1.8)
        where: style.Look = {"xytext": (7, -3), "textcoords": "offset points", "va": "top"}
        named = "1 token each" if size == 1 else str(size)
        axes.annotate(named, (at[0], distinct[0]), color=colour, size=9, weight="bold", **where)
    axes.set(xlabel="tokens in a step (batch × tokens each)", ylabel="distinct experts per layer", ylim=(0, None))
    _doubling(axes, every["tokens"].to_list())
    style.label_ends(axes, labels)
    return figure


def ranks(trace: Described, title: str) -> Figure:
    """The hottest rank over the mean against the number of ranks, by assignments and by distinct experts."""
    rows, ways = trace["ranks"], trace["ranks"]["ranks"].unique().sort().to_list()
    drawn = rows.filter(pl.col("window") == 1)
    guide = "limit: a large batch, where popularity alone is left" + (
        " · one token per request" if drawn.height else ""
    )
    figure, panels = style.canvas(
        5.2 if drawn.height else 3.6, title, trace.subject, guide, panels=(1, 1) if drawn.height else (1,)
    )
    end = rows.filter(pl.col("batch").is_null()).sort("ranks")
    labels: list[list[style.Label]] = [[(ways[-1], end["assignments"][-1], "limit", style.INK)], []]
    panels[0].plot(ways, end["assignments"].to_numpy(), color=style.INK, linestyle=DASHED, linewidth=1.4)
    batches = drawn["batch"].unique().sort().to_list()
    for batch, marker, colour in zip(batches, style.MARKERS, style.shades(len(batches)), strict=False):
        line = drawn.filter(pl.col("batch") == batch).sort("ranks")
        for panel, said, column in zip(panels, labels, ("assignments", "distinct"), strict=True):
            panel.plot(line["ranks"].to_numpy(), line[column].to_numpy(), marker=marker, color=colour, ms=5)
            said.append((ways[-1], line[column][-1], f"batch {batch}", colour))
    for panel, said, what in zip(panels, labels, ("assignments", "distinct experts"), strict=False):
        panel.set(ylabel=f"hottest rank ÷ mean\nby {what}", ylim=(0, None))
        _level(panel, 1)
        _doubling(panel, ways)
        style.label_ends(panel, said)
    panels[0].xaxis.set_major_formatter(NullFormatter())
    panels[-1].set_xticks(ways, [str(way) for way in ways])
    panels[-1].set_xlabel("ranks of expert parallelism")
    return figure


def _level(axes: Axes, level: float) -> None:
    axes.axhline(level, color=style.INK, linewidth=1, linestyle=DASHED, zorder=1)


def _doubling(axes: Axes, ticks: Sequence[int]) -> None:
    """A logarithmic axis ticked at the values themselves."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(ticks[0] / 1.15, ticks[-1] * 1.15)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(ticks), [str(tick) for tick in ticks])
