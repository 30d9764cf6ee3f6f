"""The page and the terminal's answer of `compare`: runs side by side, and which of their differences are real."""

from collections.abc import Callable
from dataclasses import dataclass

from reports import compare_findings as findings
from reports import compare_table
from reports.compare_findings import Beside
from reports.compare_table import Table
from reports.figures.compare import FIGURES
from reports.page import Brief, Page, Picture, pictures
from studies.results import Results

SENTENCES: dict[str, tuple[Callable[[Beside], str], Callable[[Beside], str]]] = {
    "speedups": (findings.speedup_title, findings.speedup_sentence),
    "differences": (findings.difference_title, findings.difference_sentence),
}
DRAWN = (
    "Errors are Monte Carlo errors of these runs alone: they say whether the model's answers differ, not whether "
    "engines would."
)
EXACT = (
    "These runs are in closed form: differences are exact, and say whether the model's answers differ, not whether "
    "engines would."
)


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it. tables: title, headings, rows of all contexts."""

    scenario: Beside
    verdicts: list[str]
    pictures: list[Picture]
    tables: list[Table]
    equal: list[Table]
    own: list[Table]


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(one) for one in findings.split(read)]
    named = {section.scenario.name for section in sections}
    filling = {
        "sections": sections,
        "compared": read.meta["study"],
        "caveat": _caveat(read),
        "exact": all(section.scenario.exact for section in sections),
        "differs": compare_table.differs(read),
        "folders": dict(zip(read.meta["runs"], read.meta["folders"], strict=True)),
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("compare.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """The answer, and at the shown context what each run recommends beside the baseline."""
    parts = findings.split(found)
    sentences = [f"{one.subject}: {findings.verdict(one, run)}" for one in parts for run in one.others]
    tables = []
    for one in parts:
        for run in one.others:
            title = f"{one.subject}: recommended length, its speedup, and the difference in points"
            tables.append((title, *compare_table.table(one, run, one.context)))
    return Brief(sentences, tables, _caveat(found))


def _caveat(found: Results) -> str:
    exact = all(one.exact for one in findings.split(found))
    return EXACT if exact else DRAWN


def _section(one: Beside) -> Section:
    tables, equal = [], []
    for run in one.others:
        for context in one.contexts:
            title = f"{findings.lead(one, run)}, {context:,} tokens of context"
            tables.append((title, *compare_table.table(one, run, context)))
        headings, rows = compare_table.at_equal_lengths(one, run)
        if rows:
            equal.append((f"{findings.lead(one, run)}, {one.context:,} tokens of context", headings, rows))
    return Section(
        scenario=one,
        verdicts=[findings.verdict(one, run) for run in one.others],
        pictures=pictures(one, FIGURES, SENTENCES),
        tables=tables,
        equal=equal,
        own=[*compare_table.gutters(one), *compare_table.operating(one)],
    )
