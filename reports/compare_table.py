"""The tables of a comparison, in words: runs beside the baseline, and what single studies have of their own."""

import polars as pl

from reports.compare_findings import Beside, error, plus_minus, points, shift
from reports.scenario import Row
from reports.words import gain, percent, span
from studies.results import Results

Table = tuple[str, list[str], list[list[str]]]  # title, headings, rows


def table(one: Beside, run: str, context: int) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per batch: what both recommend, the difference, who is better, tokens per second."""
    rows, base = one.line(run, context), one.line(one.baseline, context)
    drawn, rated = (any(row[name] is not None for row in rows) for name in ("p_better", "device_ratio"))
    headings = ["batch", one.baseline, run, "difference" if one.exact else "difference ± 2 se"]
    headings += [*(["P(better)"] if drawn else []), *(["tokens/s"] if rated else [])]
    lines = []
    for first, row in zip(base, rows, strict=True):
        chosen = [_chosen(each) for each in (first, row)]
        size = points(shift(row))
        cells = [*chosen, size if one.exact else f"{size} ± {200 * error(row):.1f}"]
        cells += [percent(row["p_better"])] if drawn else []
        cells += [_beside(row)] if rated else []
        lines.append([f"{row['batch']:,}", *cells])
    return headings, lines


def _chosen(row: Row) -> str:
    """The recommended length and its speedup."""
    return f"{row['recommended']}: {gain(row['speedup'])}" if row["recommended"] else "none"


def _beside(row: Row) -> str:
    """Tokens per second against the baseline's, ± 2 standard errors where these are known."""
    error = row["device_ratio_se"]
    return gain(row["device_ratio"], 1) + (f" ± {200 * error:.1f}" if error else "")


def at_equal_lengths(one: Beside, run: str, most: int = 9) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per batch at the shown context: the difference in points at each of up to `most` lengths."""
    cells = one.frames["lengths"].filter(run=run, context_tokens=one.context)
    cells = cells.filter(pl.col("draft_length") > 0)
    lengths = cells["draft_length"].unique().sort().to_list()[:most]
    found = {(row["batch"], row["draft_length"]): row for row in cells.iter_rows(named=True)}
    lines = []
    for batch in (row["batch"] for row in one.line(run)):
        here = [found.get((batch, length)) for length in lengths]
        if any(here):
            said = ("–" if row is None else f"{points(shift(row))}{plus_minus(row)}" for row in here)
            lines.append([f"{batch:,}", *said])
    return ["batch", *(f"{length} ahead" for length in lengths)], lines


def gutters(one: Beside) -> list[Table]:
    """economics: where the best length is 0, by run and context."""
    if one.study != "economics":
        return []
    frame, rows = one.frames["gutters"], []
    for context in one.contexts:
        cells = []
        for run in one.runs:
            mine = frame.filter(run=run, context_tokens=context).sort("batch_from").iter_rows(named=True)
            cells.append("; ".join(_gutter(row) for row in mine) or "nowhere")
        rows.append([f"{context:,}", *cells])
    return [("Batches at which no drafting pays", ["context", *one.runs], rows)]


def _gutter(row: Row) -> str:
    return span(row["batch_from"], row["batch_to"]) + (" (gutter)" if row["kind"] == "gutter" else "")


def operating(one: Beside) -> list[Table]:
    """frontier: the highest throughput of each run, by context and objective."""
    held = one.frames["operating"].iter_rows(named=True)
    found = {(row["context_tokens"], row["seconds_per_token"], row["drafting"], row["run"]): row for row in held}
    rows = []
    for context, limit, drafting in dict.fromkeys(key[:3] for key in found):
        within = "any" if limit is None else f"{1000 * limit:g} ms"
        reached = [found.get((context, limit, drafting, run)) for run in one.runs]
        cells = ["–" if row is None else _reached(row) for row in reached]
        rows.append([f"{context:,}", within, "yes" if drafting else "no", *cells])
    return [("The highest throughput", ["context", "token within", "drafting", *one.runs], rows)] if rows else []


def _reached(row: Row) -> str:
    if row["batch"] is None:
        return "none"
    made = f"{row['tokens_per_second_device']:,.0f} tokens/s (batch {row['batch']:,}, {row['draft_length']} ahead)"
    money = row["dollars_per_million_tokens"]
    return made if money is None else f"{made}, ${money:.3g} per million"


def differs(read: Results) -> list[list[str]]:
    """Scenario, run, key, the baseline's value, the run's."""
    return [
        [row["scenario"] or "all", row["run"], row["key"], row["baseline_value"], row["value"]]
        for row in read["differs"].iter_rows(named=True)
    ]
