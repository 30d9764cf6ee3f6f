"""The ladder and the shares: the figures of the study `stress`, one scenario each. Draw inside `style.applied()`."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import stress_findings as findings
from reports import style
from reports.share import Share

LABELS, BESIDE, GAP = 2.35, 1.35, 0.25  # inches: names of the rungs, the panel of regret, and between the panels
ROW = 0.46  # inches
APART = 0.26  # of a row: marks of neighbouring batches


def ladder(share: Share) -> Figure:
    """The speedup each rung promises, with its best length, and beside it what that length loses."""
    shown = findings.batches(share)
    names = [row["assumption"] for row in findings.rungs(share, shown[0])]
    names[-1] += ": full model"
    guide = "in the marks: best draft length · regret: what it loses in the full model, ± 2 se"
    height = style.TOP + style.BOTTOM + 0.3 + ROW * len(names)
    right = BESIDE + GAP + 0.2
    figure, (axes,) = style.canvas(height, findings.ladder_title(share), share.subject, guide, left=LABELS, right=right)
    place = axes.get_position()
    wide = figure.get_figwidth()
    beside = figure.add_axes((1 - (BESIDE + 0.2) / wide, place.y0, BESIDE / wide, place.height))
    every = np.arange(len(names))
    for i, (batch, colour) in enumerate(zip(shown, style.shades(len(shown)), strict=True)):
        at = every + APART * (i - (len(shown) - 1) / 2)
        rows = findings.rungs(share, batch)
        speedups = [row["speedup"] for row in rows]
        axes.plot(speedups, at, "o-", color=colour, linewidth=1, markersize=10.5, label=f"batch {batch:,}", zorder=3)
        for y, row in zip(at, rows, strict=True):
            look: style.Look = {"ha": "center", "va": "center", "size": 7.5, "weight": "bold", "zorder": 4}
            axes.text(row["speedup"], y, str(row["best_draft_length"]), color=style.PAPER, **look)
        regret = 100 * np.array([row["regret"] for row in rows])
        error = 200 * np.array([row["regret_se"] for row in rows])
        beside.errorbar(regret, at, xerr=error, fmt="o-", color=colour, markersize=4, linewidth=1, elinewidth=0.8)
    axes.axvline(1, color=style.INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    axes.set_xlabel("speedup promised (× no speculation)")
    beside.axvline(0, color=style.INK, linewidth=1, zorder=1)
    beside.set_xlabel("regret [%]")
    axes.margins(x=0.09)
    for panel, labels in ((axes, names), (beside, [""] * len(names))):
        panel.set_yticks(every, labels)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.grid(True, axis="x")
        panel.grid(False, axis="y")
        for row in every[::2]:
            panel.axhspan(row - 0.5, row + 0.5, color=style.CLOSED, linewidth=0, zorder=0)
    axes.tick_params(axis="y", labelcolor=style.INK)
    _legend(axes)
    return figure


def shares(share: Share) -> Figure:
    """Each family's share of the change of the best speedup, by batch, with two standard errors."""
    shown, families = findings.batches(share), list(findings.FAMILIES)
    guide = "effect on the best speedup, averaged over every order · lines: ± 2 se"
    height = style.TOP + style.BOTTOM + 0.3 + 1.35 * ROW * len(families)
    figure, (axes,) = style.canvas(
        height, findings.shares_title(share), share.subject, guide, left=LABELS + 0.25, right=0.3
    )
    thick = 0.8 / len(shown)
    for i, (batch, colour) in enumerate(zip(shown, style.shades(len(shown)), strict=True)):
        rows = {row["family"]: row for row in findings.shares(share, batch, "best")}
        value = np.array([rows[family]["share"] for family in families])
        ends = value + 2 * np.outer([-1, 1], [rows[family]["share_se"] for family in families])
        at = np.arange(len(families)) + (i - (len(shown) - 1) / 2) * thick
        effect = 100 * np.expm1(value)
        axes.barh(at, effect, thick, color=colour, label=f"batch {batch:,}")
        axes.hlines(at, *(100 * np.expm1(end) for end in ends), color=style.INK, linewidth=1, zorder=3)
    axes.axvline(0, color=style.INK, linewidth=1)
    axes.set_yticks(range(len(families)), [findings.FAMILIES[family] for family in families])
    axes.set_ylim(len(families) - 0.5, -0.5)
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.set_xlabel("change of the best speedup [%]")
    _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    look: style.Look = {"frameon": False, "fontsize": 9, "handlelength": 1.2, "markerscale": 0.5, "borderaxespad": 0.2}
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=3, columnspacing=1.2, **look)


FIGURES = {"ladder": ladder, "shares": shares}
