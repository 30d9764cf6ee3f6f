"""What a comparison of runs shows: the answer, each figure's title and sentence, and its tables in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import polars as pl

from reports.economics import rungs
from reports.scenario import Row, shown_context, slugs
from reports.words import gain, listed, span
from studies.results import Results

REAL = 2.0  # a difference of more standard errors than this
SURE = 4.0  # and any of many cells, of more than this
EQUAL = 1e-9  # relative: rounding
EFFORT = {"worlds", "error", "batch", "context_tokens", "draft_length"}  # keys that say how much is studied, not what


@dataclass(frozen=True)
class Beside:
    """One scenario of the runs: the frames of the comparison that are of it. run: the names, the baseline first."""

    name: str
    slug: str
    study: str
    runs: list[str]
    frames: dict[str, pl.DataFrame]
    notes: list[str]

    @property
    def baseline(self) -> str:
        """The run that the others are held against."""
        return self.runs[0]

    @property
    def others(self) -> list[str]:
        """The runs that are held against it."""
        return self.runs[1:]

    @property
    def context(self) -> int:
        """The context shown where only one can be."""
        return shown_context(self.frames["results"]["context_tokens"])

    @property
    def subject(self) -> str:
        """What is compared."""
        return f"{self.name} at {self.context:,} tokens of context"

    def line(self, run: str, context: int | None = None) -> list[Row]:
        """The rows of a run at one context (the shown one), by batch: all of them, or those nearest powers of two."""
        at = self.context if context is None else context
        rows = self.frames["results"].filter(run=run, context_tokens=at).sort("batch")
        return rows.filter(pl.col("batch").is_in(rungs(rows["batch"].to_list()))).to_dicts()

    @property
    def contexts(self) -> list[int]:
        """The contexts that were compared."""
        return [int(context) for context in self.frames["results"]["context_tokens"].unique().sort()]

    @property
    def exact(self) -> bool:
        """Whether nothing is drawn, so that differences have no error."""
        return bool(self.frames["results"].filter(~pl.col("baseline"))["common_worlds"].is_null().all())

    def rebased(self, run: str) -> bool:
        """Whether the run is faster or slower than the baseline without drafts too, in any cell, beyond chance."""
        rows = self.frames["results"].filter(run=run).drop_nulls("undrafted_ratio")
        known = rows if self.exact else rows.drop_nulls("undrafted_ratio_se")
        return any(
            abs(row["undrafted_ratio"] - 1) > max(SURE * (row["undrafted_ratio_se"] or 0.0), EQUAL)
            for row in known.iter_rows(named=True)
        )


def split(found: Results) -> list[Beside]:
    """The scenarios of a comparison."""
    names = found["results"]["scenario"].unique(maintain_order=True).to_list()
    own = {
        name: {
            frame: held.filter(pl.col("scenario").eq_missing(name) | pl.col("scenario").is_null())
            for frame, held in found.frames.items()
        }
        for name in names
    }
    return [
        Beside(name, slug, str(found.meta["study"]), list(found.meta["runs"]), own[name], found.notes.get(name, []))
        for name, slug in zip(names, slugs(names), strict=True)
    ]


def error(row: Row) -> float:
    """The standard error of a row's difference, of worlds and of a trace together; 0 where nothing is drawn."""
    return hypot(row["speedup_difference_se"] or 0.0, row["speedup_difference_trace_se"] or 0.0)


def shift(row: Row) -> float:
    """The difference of the speedups."""
    return float(row["speedup_difference"])


def real(row: Row) -> bool:
    """Whether the difference is beyond what chance makes of none."""
    return abs(shift(row)) > max(REAL * error(row), EQUAL)


def lead(one: Beside, run: str) -> str:
    """Which run against which, and in what they differ."""
    every = {row["key"]: row for row in one.frames["differs"].filter(run=run).iter_rows(named=True)}
    differs = {key: row for key, row in every.items() if key not in EFFORT} or every
    if not differs:
        return f"{run} against {one.baseline} (asked for the same)"
    if len(differs) > 1 or max(len(run), len(one.baseline)) > 40:
        keys = list(differs)
        shown = keys if len(keys) <= 4 else [*keys[:3], f"{len(keys) - 3} more keys"]
        return f"{run} against {one.baseline} (they differ in {listed(shown)})"
    ((key, row),) = differs.items()
    return f"{key} {row['value']} against {row['baseline_value']}"


def verdict(one: Beside, run: str) -> str:
    """Where the lengths differ, where the speedups do and how surely, and what that is in tokens per second."""
    rows, base = one.line(run), one.line(one.baseline)
    said = f"{lead(one, run)}: {_lengths(base, rows)}; {_differences(base, rows)}."
    return said + _rates(one, run, rows)


def _lengths(base: list[Row], rows: list[Row]) -> str:
    """Where the recommended lengths differ."""
    pairs = [(first["recommended"], row["recommended"], row["batch"]) for first, row in zip(base, rows, strict=True)]
    if all(first == own for first, own, _ in pairs):
        lengths = sorted({own for _, own, _ in pairs})
        if lengths == [0]:
            return "neither drafts at any batch"
        return f"both draft {span(lengths[0], lengths[-1])} ahead, the same at every batch"
    moved: dict[tuple[int, int], list[int]] = {}
    for first, own, batch in pairs:
        if first != own:
            moved.setdefault((first, own), []).append(batch)
    if len(moved) > 3:
        return f"it drafts another length at {sum(map(len, moved.values()))} of {len(pairs)} batches"
    parts = [
        f"{f'{own} ahead' if own else 'nothing'} instead of {first or 'nothing'} at batch {_runs(at, rows)}"
        for (first, own), at in moved.items()
    ]
    return f"it drafts {listed(parts)}"


def _differences(base: list[Row], rows: list[Row]) -> str:
    """Where the speedup is higher, lower, or cannot be told apart."""
    exact = all(error(row) == 0 for row in rows)
    phrases = []
    for word, sign in (("higher", 1), ("lower", -1)):
        mine = [(first, row) for first, row in zip(base, rows, strict=True) if real(row) and sign * shift(row) > 0]
        if mine:
            first, row = max(mine, key=lambda pair: abs(shift(pair[1])))
            least, most = (f"{100 * pick(abs(shift(each)) for _, each in mine):.1f}" for pick in (min, max))
            size = most if least == most else f"{least} to {most}"
            peak = "" if len(mine) == 1 else f"most at {row['batch']:,}: "
            where = _runs([each["batch"] for _, each in mine], rows)
            shown = f"{peak}{gain(row['speedup'])} against {gain(first['speedup'])}{plus_minus(row)}"
            phrases.append(f"{word} by {size} points at batch {where} ({shown})")
    same = [row["batch"] for row in rows if not real(row)]
    said = [f"its speedup is {listed(phrases)}"] if phrases else []
    if same:
        where = "at every batch" if len(same) == len(rows) else f"at batch {_runs(same, rows)}"
        said.append(f"the speedups are {'the same' if exact else 'within two standard errors of each other'} {where}")
    return "; ".join(said)


def _runs(batches: Sequence[int], rows: Sequence[Row]) -> str:
    """Batches in words, neighbours among those of `rows` as a range."""
    order = {row["batch"]: place for place, row in enumerate(rows)}
    groups: list[list[int]] = []
    for batch in batches:
        if groups and order[batch] == order[groups[-1][-1]] + 1:
            groups[-1].append(batch)
        else:
            groups.append([batch])
    return listed([span(group[0], group[-1]) for group in groups])


def points(difference: float) -> str:
    """A difference of speedups in points: 0.041 -> +4.1."""
    value = round(100 * difference, 1)
    return "0" if value == 0 else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def plus_minus(row: Row) -> str:
    """Two standard errors of a difference, in points; empty where there is none."""
    return f" ± {200 * error(row):.1f}" if error(row) else ""


def _rates(one: Beside, run: str, rows: list[Row]) -> str:
    """Tokens per second, where the two differ without drafts too."""
    if not one.rebased(run):
        return ""
    low, high = (pick(row["undrafted_ratio"] for row in rows) for pick in (min, max))
    least, most = (pick(rows, key=lambda row: float(row["device_ratio"])) for pick in (min, max))
    undrafted = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    many = [f"{gain(row['device_ratio'], 1)} (batch {row['batch']:,})" for row in (least, most)]
    made = f"at {many[0]}" if least is most else f"from {many[0]} to {many[1]}"
    return (
        f" Without drafts it makes {undrafted} times the tokens per second of {one.baseline}, so the two speedups are "
        f"over different baselines; at the recommended lengths it stands {made} against it in tokens per second."
    )


def speedup_title(one: Beside) -> str:
    """Who is fastest where only two are compared; else which run gains most."""
    if len(one.others) == 1:
        rows = one.line(one.others[0])
        signs = {(1 if shift(row) > 0 else -1) if real(row) else 0 for row in rows}
        run, base = one.others[0], one.baseline
        if signs <= {0}:
            return f"{run} and {base} gain the same, as far as can be told"
        for sign, word in ((1, "more"), (-1, "less")):
            if signs <= {0, sign}:
                rest = "the others cannot be told apart" if not one.exact else "the same at the others"
                return f"{run} gains {word} than {base} at {'some batches, ' + rest if 0 in signs else 'every batch'}"
        return f"{run} gains more than {base} at some batches, less at others"
    peak = max((row for run in one.runs for row in one.line(run)), key=lambda row: float(row["speedup"]))
    return f"{peak['run']} gains most: {gain(peak['speedup'])} at batch {peak['batch']:,}"


def speedup_sentence(one: Beside) -> str:
    """The range of each run's speedup."""
    parts = []
    for run in one.runs:
        speedups = [row["speedup"] for row in one.line(run)]
        least, most = gain(min(speedups)), gain(max(speedups))
        parts.append(f"{run} gains {most}" if least == most else f"{run} gains {least} to {most}")
    return f"At {one.context:,} tokens of context and the length that each run recommends, {listed(parts)}."


def difference_title(one: Beside) -> str:
    """How many of the differences are real."""
    rows = [row for run in one.others for row in one.line(run)]
    count = sum(real(row) for row in rows)
    if one.exact:
        return f"{count} of {len(rows)} speedups differ" if count else "No speedup differs"
    if not count:
        return "No difference is beyond two standard errors"
    return f"{count} of {len(rows)} differences are beyond two standard errors"


def difference_sentence(one: Beside) -> str:
    """The largest difference, and what its error is made of."""
    rows = [row for run in one.others for row in one.line(run)]
    top = max(rows, key=lambda row: abs(shift(row)))
    said = f"The largest is {points(shift(top))}{plus_minus(top)} points, of {top['run']} at batch {top['batch']:,}"
    if one.exact:
        return f"{said}; it is exact, as nothing is drawn."
    unpaired = [run for run in one.others if one.line(run)[0]["common_worlds"] == 0]
    if unpaired:
        return f"{said}. Errors of {listed(unpaired)} are as of independent runs."
    return f"{said}; errors are paired over the worlds that the runs share."
