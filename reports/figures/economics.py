"""The post's three charts: the figures of the study `economics`, one scenario each.

Each returns a matplotlib figure, or None where the results have nothing to draw. Draw inside `style.applied()`.
"""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from reports import economics_findings as findings
from reports import style
from reports.figures import batches
from reports.share import Share

EVEN = (0, (5, 3))  # the dashes of a line to compare with
SPARSE, DENSE = "#0f4377", "#a05a9c"  # experts, and dense weights
# Of a step's terms, in the order they are stacked; labels name them, so colour has only to part neighbours.
TERMS = {
    "experts": "#25669f",
    "attention": "#c9a3d1",
    "projections": "#7fb0db",
    "dense": "#8d7bb8",
    "router": "#5aa69a",
    "lm_head": "#a9cfc4",
    "fixed": "#d8c9a3",
    "drafting": "#9aa6b4",
}
THIN = 0.01  # of a plain token: bands that never exceed it are left out of the labels


def intensity(share: Share) -> Figure | None:
    """FLOP per byte of the experts against tokens, and of a dense layer of the same weights; knee and ridge."""
    rows = share["intensity"].sort("tokens")
    if rows.is_empty():
        return None
    ridge, tokens = float(rows["ridge"][0]), rows["tokens"].to_numpy()
    guide = "both axes logarithmic · dot: compute-bound from here on · dotted: the knee E/k"
    figure, (axes,) = style.canvas(4.2, findings.intensity_title(share), share.name, guide)
    axes.set_yscale("log")
    axes.axhline(ridge, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    labels: list[style.Label] = [(tokens[-1], ridge, f"ridge {ridge:,.5g}", style.INK)]
    for column, colour, name in (("moe", SPARSE, "experts"), ("dense", DENSE, "if dense")):
        axes.plot(tokens, rows[column].to_numpy(), color=colour, linewidth=2)
        labels.append((tokens[-1], rows[column][-1], name, colour))
        at = findings.crossing(share, column)
        if at is not None:
            axes.plot(at, ridge, "o", color=colour, ms=7, zorder=4)
            look: style.Look = {"size": 9.5, "weight": "bold", "color": colour, "ha": "right", "va": "bottom"}
            axes.annotate(f"{at:,.0f} tokens", (at, ridge), xytext=(-5, 5), textcoords="offset points", **look)
    bend = findings.knee(share)
    axes.axvline(bend, color=style.QUIET, linewidth=0.9, linestyle=":")
    corner: style.Look = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom"}
    axes.annotate(f"knee {bend:,.1f}", (bend, 0), xytext=(4, 4), size=9, color=style.QUIET, **corner)
    batches.axis(axes, 0.9, tokens[-1] * 1.1)
    axes.set(xlabel="tokens in a step (batch × window)", ylabel="FLOP per byte read")
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    decades = [10**place for place in range(-3, 9) if low <= 10**place <= high]
    axes.set_yticks(decades, [f"{decade:,g}" for decade in decades])
    style.label_ends(axes, labels)
    return figure


def ledger(share: Share) -> Figure | None:
    """The marginal cost of a token of the window by batch: its terms stacked, their sum on top."""
    rows = findings.ledger_rows(share)
    if rows.is_empty():
        return None
    total = rows.filter(term="total")
    sizes = total["batch"].to_list()
    borders = batches.edges(sizes)
    subject = f"{share.name} at {findings.ledger_context(share):,} tokens of context"
    guide = "bands: terms of the step · line: their sum r · dashed: a plain token"
    guide += " · spikes: one more token begins a tile" if share.achieved else ""
    figure, (axes,) = style.canvas(4.4, findings.ledger_title(share), subject, guide)
    under = np.zeros(len(sizes))
    labels: list[style.Label] = []
    for name, colour in TERMS.items():
        part = rows.filter(term=name)["marginal_cost"].to_numpy()
        if not len(part):
            continue
        over = under + part
        axes.stairs(over, borders, baseline=under, fill=True, color=colour, linewidth=0)
        if part.max() >= THIN:
            labels.append((borders[-1], float(under[-1] + part[-1] / 2), findings.term(name), style.INK))
        under = over
    axes.stairs(total["marginal_cost"].to_numpy(), borders, baseline=None, color=style.INK, linewidth=1.8)
    axes.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=3)
    axes.set(ylabel="cost of one more token (plain tokens)")
    axes.set_ylim(0, max(1.3, 1.1 * float(under.max())))
    axes.yaxis.set_major_locator(FixedLocator(np.arange(0, axes.get_ylim()[1], 0.25).tolist()))
    batches.axis(axes, borders[0], borders[-1], listed=sizes)
    style.label_ends(axes, labels, gap=14)
    return figure


def best_map(share: Share) -> Figure | None:
    """The best length over batch and alpha; below, that at the scenario's own acceptance, and what it gains."""
    rows = share.here("map")
    if share.priced.is_empty() or rows["batch"].n_unique() < 2:
        return None
    sizes = rows["batch"].unique().sort().to_list()
    borders = batches.edges(sizes)
    subject, guide = share.subject, "colour: best draft length · below: at the scenario's own acceptance"
    figure, (axes, strip, gains) = style.canvas(6.4, findings.map_title(share), subject, guide, panels=(3.2, 0.3, 1.3))
    _classes(axes, rows, borders)
    _own_lengths(strip, share, sizes, borders)
    _own_gains(gains, share, sizes)
    axes.set(ylim=(0, 1), ylabel="alpha (acceptance per draft)")
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    if share.alpha is not None:
        axes.axhline(share.alpha, color=style.INK, linewidth=1.2, linestyle=EVEN)
        card = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        spot: style.Look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "bottom"}
        axes.annotate(share.acceptance, (0, share.alpha), xytext=(5, 4), size=9, weight="bold", bbox=card, **spot)
    shut = rows.group_by("batch").agg(pl.col("best_draft_length").is_null().all()).sort("batch")
    for panel in (axes, strip, gains):
        panel.grid(False)
        for start, stop in batches.stretches(shut["best_draft_length"].to_list()):
            batches.closed(panel, borders[start], borders[stop], "does not fit" if panel is axes else "")
        batches.axis(panel, borders[0], borders[-1], listed=sizes, labelled=panel is gains)
    batches.key(axes, "best length")
    return figure


FIGURES = {"intensity": intensity, "ledger": ledger, "map": best_map}


def _classes(axes: Axes, rows: pl.DataFrame, borders: np.ndarray) -> None:
    """Colour the map: a class covers every alpha from the lowest at which a length of it, or a longer one, is best.

    N(k + 1) / N(k) rises with alpha, so the best length does too, and that lowest alpha is the whole border.
    """
    lengths = pl.col("best_draft_length")
    step = 0.01
    for first, colour, _ in batches.CLASSES:
        lowest = pl.col("alpha").filter(lengths >= first).min().alias("lowest")
        border = rows.group_by("batch").agg(lowest).sort("batch")["lowest"].to_numpy() - step / 2
        border = np.where(border < step, 0.0, border)
        drawn = ~np.isnan(border)
        if drawn.any():
            top = np.where(drawn, 1.0, np.nan)
            axes.stairs(top, borders, baseline=border, fill=True, color=colour, linewidth=0)


def _own_lengths(strip: Axes, share: Share, sizes: list[int], borders: np.ndarray) -> None:
    """The best length at the scenario's own acceptance as a strip of colours, written where there is room."""
    best = dict(share.here("best").select("batch", "best_draft_length").iter_rows())
    lengths = [best.get(size) for size in sizes]
    whole = np.log(borders[-1] / borders[0])
    for length in sorted({length for length in lengths if length is not None}):
        for start, stop in batches.stretches([other == length for other in lengths]):
            left, right = borders[start], borders[stop]
            strip.axvspan(left, right, color=batches.colour_of(length), linewidth=0)
            if np.log(right / left) > whole / 40:
                ink = style.PAPER if length >= batches.CLASSES[4][0] else style.INK
                look: style.Look = {"ha": "center", "va": "center", "size": 9, "weight": "bold", "color": ink}
                strip.text((left * right) ** 0.5, 0.5, str(length), **look)
    strip.set(ylim=(0, 1), yticks=[])
    note: style.Look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center", "size": 9}
    strip.annotate(f"best length\n{share.acceptance}"[:60], (1, 0.5), xytext=(10, 0), color=style.QUIET, **note)


def _own_gains(axes: Axes, share: Share, sizes: list[int]) -> None:
    """The speedup of the best length above 0 by batch; shaded where it loses."""
    rows = share.here("best").sort("batch")
    batch, gain = rows["batch"].to_numpy(), rows["drafting_speedup"].cast(pl.Float64).to_numpy()
    axes.fill_between(batch, 1, gain, where=gain <= 1, color=style.GUTTER, linewidth=0, interpolate=True)
    axes.plot(batch, gain, color=style.INK, linewidth=1.8, marker="o" if len(batch) < 12 else "", ms=4)
    axes.axhline(1, color=style.INK, linewidth=1, linestyle=EVEN, zorder=1)
    axes.set(ylabel="speedup")
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.2))
    note: style.Look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "size": 9}
    axes.annotate("1: no gain", (1, 1), xytext=(10, 0), color=style.QUIET, **note)
