"""The page and the terminal's answer of `validate`: predictions beside measurements, data set by data set."""

from collections.abc import Callable
from dataclasses import dataclass

from reports import validate_findings as findings
from reports.figures.validate import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.validate_findings import DataSet
from reports.words import percent
from studies.results import Results

CAVEAT = (
    "Terms are fitted to the rows without drafts of the same engine, never to the rows predicted; tokens per step are "
    "given. A good score on these engines says nothing of an engine that is not among them."
)
SENTENCES: dict[str, tuple[Callable[[DataSet], str], Callable[[DataSet], str]]] = {
    "diagonal": (findings.diagonal_title, findings.diagonal_sentence),
    "cost": (findings.cost_title, findings.cost_sentence),
}


@dataclass(frozen=True)
class Section:
    """One data set as the page shows it."""

    scenario: DataSet
    verdict: str
    pictures: list[Picture]
    scores: tuple[list[str], list[list[str]]]
    choices: tuple[list[str], list[list[str]]]
    informed: list[list[str]]
    change: list[str]
    largest_error: str


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(one) for one in findings.split(read)]
    filling = {"sections": sections, "caveat": CAVEAT, "general_notes": []}
    return Page("validate.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """The answer, and the scores over all draft lengths."""
    parts = findings.split(found)
    tables = []
    for one in parts:
        headings, rows = findings.score_table(one)
        over_all = [[row[0], *row[2:9]] for row in rows if row[1] == "all"]  # as wide as a terminal
        tables.append((one.name, [headings[0], *headings[2:9]], over_all))
    return Brief([f"{one.name}: {findings.verdict(one)}" for one in parts], tables, CAVEAT)


def _section(one: DataSet) -> Section:
    choices = findings.choice_table(one)
    return Section(
        one,
        findings.verdict(one),
        pictures(one, FIGURES, SENTENCES),
        findings.score_table(one),
        choices,
        _informed(one),
        findings.change(one),
        findings.largest_error(one),
    )


def _informed(one: DataSet) -> list[list[str]]:
    """The terms that the rows without drafts inform, of the data set's first engine: prior and fitted medians."""
    first = one.terms.row(0, named=True) if one.terms.height else {}
    mine = one.terms.filter(target=first.get("target"), text=first.get("text"))
    return [
        [row["term"], f"{row['prior']:.3g}", f"{row['median']:.3g}", percent(row["kept"])]
        for row in mine.sort("kept").iter_rows(named=True)
        if row["kept"] < 0.95
    ]
