"""Acceptance of a described trace. Each figure takes the trace and its title, and is drawn inside `style.applied()`."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from reports import style
from reports.described import Described
from reports.figures.trace_routing import DASHED, MEASURED, POPULARITY

MOST = 16  # strata that one figure can show


def runs(trace: Described, title: str) -> Figure:
    """Hazard and survival by depth, with intervals over requests; a thin line per drafted length."""
    rows = trace.whole("runs").sort("depth")
    guide = "hazard: of the runs that got here · survival: of all · bars: 95 % over requests"
    figure, (axes, below) = style.canvas(5.2, title, trace.subject, guide, panels=(1, 1), right=0.4)
    lengths = trace.strata("runs", "drafted")[:MOST]
    for value, line in lengths:
        for panel, column in ((axes, "hazard"), (below, "survival")):
            panel.plot(
                line["depth"].to_numpy(), 100 * line[column].to_numpy(), color=POPULARITY, linewidth=0.8, alpha=0.7
            )
            panel.annotate(
                value,
                (line["depth"][-1], 100 * line[column][-1]),
                xytext=(3, 0),
                textcoords="offset points",
                size=7.5,
                color=POPULARITY,
                va="center",
            )
    for panel, column, marker in ((axes, "hazard", "o"), (below, "survival", "s")):
        share = 100 * rows[column].to_numpy()
        low, high = (100 * rows[f"{column}_{end}"].fill_null(rows[column]).to_numpy() for end in ("p025", "p975"))
        bars = np.abs(np.stack([share - low, high - share]))
        panel.errorbar(rows["depth"].to_numpy(), share, bars, color=MEASURED, marker=marker, ms=5, capsize=2.5)
        panel.set(ylabel=f"{column} (%)", ylim=(0, 112))
        panel.margins(x=0.06)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        for depth, level, top in zip(rows["depth"], share, high, strict=True):
            where: style.Look = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            panel.annotate(f"{level:.0f} %", (depth, top), color=MEASURED, size=9, weight="bold", **where)
    below.set_xlabel("depth (drafts after the last emitted token)" + ("; brown: by drafted length" if lengths else ""))
    axes.xaxis.set_major_formatter(NullFormatter())
    return figure


def weightings(trace: Described, title: str) -> Figure:
    """Tokens per step of the whole and of every category: by weighting, and the spread over requests."""
    kinds = [("all", trace.whole("tokens_per_step"))]
    for by in ("category", "temperature"):
        held = trace.strata("tokens_per_step", by)
        prefix = "temperature " if by == "temperature" else ""
        ranked = sorted(held, key=lambda named: -float(named[1]["tokens_per_step"][0]))
        kinds += [(prefix + value, rows) for value, rows in ranked[: MOST if len(held) > 1 else 0]]
    guide = "dot: tokens ÷ steps · ring: average request · diamond: average token · bar: 5–95 %"
    figure, (axes,) = style.canvas(1.9 + 0.27 * len(kinds), title, trace.subject, guide, right=0.3)
    box = axes.get_position()
    margin = 1.75 / figure.get_figwidth()
    axes.set_position((margin, box.y0, box.x1 - margin, box.height))
    for place, (_, rows) in enumerate(kinds):
        row = rows.row(0, named=True)
        axes.plot([row["request_p05"], row["request_p95"]], [place, place], color=MEASURED, linewidth=5, alpha=0.22)
        axes.plot(row["token_weighted"], place, "D", color=POPULARITY, ms=5)
        axes.plot(row["request_weighted"], place, "o", mfc=style.PAPER, mec=MEASURED, ms=7.5, mew=1.4)
        axes.plot(row["tokens_per_step"], place, "o", color=MEASURED, ms=4.5)
    axes.set_yticks(range(len(kinds)), [_short(name) for name, _ in kinds])
    axes.set(xlabel="tokens per step (the bonus counted)", ylim=(len(kinds) - 0.4, -0.6))
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    return figure


def memory(trace: Described, title: str) -> Figure | None:
    """Autocorrelation of tokens per step by lag within a turn."""
    rows = trace.whole("spread", statistic="autocorrelation").sort("lag")
    if rows.is_empty():
        return None
    guide = "within a turn, its mean taken out, that bias corrected · bars: ± 2 standard errors"
    figure, (axes,) = style.canvas(3.6, title, trace.subject, guide)
    lags = rows["lag"].to_list()
    error = 2 * rows["trace_se"].fill_null(0).to_numpy()
    axes.errorbar(range(len(lags)), rows["estimate"].to_numpy(), error, color=MEASURED, marker="o", ms=5, capsize=2.5)
    axes.axhline(0, color=style.INK, linewidth=1, linestyle=DASHED, zorder=1)
    axes.set(xlabel="lag (steps apart)", ylabel="autocorrelation")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_xticks(range(len(lags)), [str(lag) for lag in lags])
    axes.margins(x=0.05)
    style.label_ends(axes, [(len(lags) - 1, 0.0, "no memory", style.INK)])
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"
