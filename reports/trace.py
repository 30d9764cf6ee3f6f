"""The page, the figures and the terminal's summary of a described trace."""

from pathlib import Path

import polars as pl

from reports import page, style
from reports import trace_findings as findings
from reports.described import AS_READ, Described, plain
from reports.figures import trace_acceptance, trace_routing
from reports.page import Brief, Page, Picture

# Figure -> the frame it is of, its title and sentence, its drawing.
FIGURES = {
    "load": ("load", findings.load, trace_routing.load),
    "overlap": ("overlap", findings.overlap, trace_routing.overlap),
    "windows": ("windows", findings.windows, trace_routing.windows),
    "batches": ("batches", findings.batches, trace_routing.batches),
    "ranks": ("ranks", findings.ranks, trace_routing.ranks),
    "runs": ("runs", findings.runs, trace_acceptance.runs),
    "tokens-per-step": ("tokens_per_step", findings.weightings, trace_acceptance.weightings),
    "memory": ("spread", findings.memory, trace_acceptance.memory),
}
CAVEATS = {
    "windows": "Windows of accepted text stand in for drafts: what rejected drafts load is not in it.",
    "tokens_per_step": "Intervals are of the trace's requests, not of other traffic.",
}
SHOWN = (1, 2, 4, 8, 16, 32)  # windows in the summary

Table = tuple[str, list[str], list[list[str]]]


def render(folder: Path) -> list[str]:
    """Draw the figures of a description and write its `report.html`; returns the relative names of the files."""
    return page.write(folder, of(folder))


def of(folder: Path) -> Page:
    """The page of a description."""
    trace = Described.read(folder)
    pictures = []
    with style.applied():
        for name, (frame, say, draw) in FIGURES.items():
            if frame in trace:
                title, sentence = say(trace)
                figure = draw(trace, title)
                if figure is not None:
                    pictures.append(Picture(name, title, sentence, figure, trace.subject))
    filling = {
        "trace": trace,
        "pictures": pictures,
        "tables": _tables(trace),
        "as_read": _as_read(trace),
        "caveat": _caveat(trace),
    }
    return Page("trace.html.j2", filling, pictures)


def brief(folder: Path) -> Brief:
    """What a screen holds: the title of each figure, and the tables."""
    trace = Described.read(folder)
    sentences = [f"{trace.subject}."]
    sentences += [f"- {say(trace)[0]}." for frame, say, _ in FIGURES.values() if frame in trace]
    return Brief(sentences, _tables(trace) + _as_read(trace), _caveat(trace))


def _caveat(trace: Described) -> str:
    return " ".join(said for frame, said in CAVEATS.items() if frame in trace)


def _tables(trace: Described) -> list[Table]:
    """Distinct experts by window and by batch, hottest ranks, acceptance by depth."""
    tables: list[Table] = []
    if "windows" in trace:
        rows = trace.mean("windows").filter(pl.col("window").is_in(SHOWN))
        lines = [
            [f"{row['window']}", *(f"{row[name]:.2f}" for name in ("distinct", "popularity", "uniform"))]
            for row in rows.to_dicts()
        ]
        tables.append(
            ("Distinct experts per layer, tokens in a row", ["tokens", "measured", "popularity", "uniform"], lines)
        )
    if "batches" in trace:
        rows = trace.mean("batches").sort("batch", "window")
        sizes = rows["window"].unique().sort().to_list()
        lines = [
            [f"{batch}", *(f"{row['distinct']:.1f} [{row['uniform']:.1f}]" for row in line.to_dicts())]
            for (batch,), line in rows.group_by("batch", maintain_order=True)
        ]
        tables.append(("Distinct experts per layer, batch × tokens each [uniform]", ["batch", *map(str, sizes)], lines))
    if "ranks" in trace:
        tables.append(_ranks(trace))
    if "runs" in trace:
        lines = [
            [f"{row['depth']}", _interval(row, "hazard"), _interval(row, "survival"), f"{row['at_risk']:,}"]
            for row in trace.whole("runs").sort("depth").to_dicts()
        ]
        tables.append(
            ("Acceptance by depth [95 % over requests]", ["depth", "hazard", "survival", "steps at risk"], lines)
        )
    return tables


def _ranks(trace: Described) -> Table:
    rows = trace["ranks"].filter((pl.col("window") == 1) | pl.col("window").is_null())
    ways = rows["ranks"].unique().sort().to_list()
    lines = []
    for (batch,), line in rows.sort("batch", "ranks", nulls_last=True).group_by("batch", maintain_order=True):
        cells = [
            f"{row['assignments']:.2f}" + ("" if row["distinct"] is None else f" / {row['distinct']:.2f}")
            for row in line.to_dicts()
        ]
        lines.append(["limit" if batch is None else f"{batch}", *cells])
    return ("Hottest rank ÷ mean, by assignments / distinct experts", ["batch", *(f"EP{way}" for way in ways)], lines)


def _interval(row: dict[str, float | None], name: str) -> str:
    low, high = row[f"{name}_p025"], row[f"{name}_p975"]
    return f"{row[name]:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


def _as_read(trace: Described) -> list[Table]:
    """Acceptance that is known in sums only, as the source has it."""
    titles = {"curves": "Survival by depth, as the source has it", "means": "Mean acceptance, as the source has it"}
    tables = []
    for name in AS_READ:
        if name in trace:
            frame = trace[name].drop([column for column in trace[name].columns if trace[name][column].is_null().all()])
            tables.append((titles[name], frame.columns, [[_cell(value) for value in row] for row in frame.iter_rows()]))
    return tables


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else plain(str(value))
