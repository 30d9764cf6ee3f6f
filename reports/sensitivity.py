"""The page and the terminal's answer of `sensitivity`: what the answer hangs on, and what to measure first."""

from collections.abc import Callable
from dataclasses import dataclass

from reports import sensitivity_findings as findings
from reports.figures.sensitivity import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.scenario import fastest
from reports.share import Share, shares
from reports.uncertainty import Uncertainty, largest, uncertainties
from studies.results import Results

CAVEAT = (
    "All of this is over the stated priors of prices and traffic, at one static length per batch; a prior that is too "
    "narrow makes its unknown look harmless."
)
SENTENCES: dict[str, tuple[Callable[[Share], str], Callable[[Share], str]]] = {
    "hangs": (findings.hangs_title, findings.hangs_sentence),
    "worth": (findings.worth_title, findings.worth_sentence),
    "tornado": (findings.tornado_title, findings.tornado_sentence),
    "break-even": (findings.break_even_title, findings.break_even_sentence),
    "gutter": (findings.gutter_title, findings.gutter_sentence),
}


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it; tables are (title, headings, rows)."""

    scenario: Share
    verdict: str
    pictures: list[Picture]
    tables: list[tuple[str, list[str], list[list[str]]]]
    change: list[str]
    errors: list[Uncertainty]
    largest_error: str


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(share) for share in _shares(read)]
    named = {section.scenario.name for section in sections}
    filling = {
        "sections": sections,
        "caveat": CAVEAT,
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("sensitivity.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """The answer, and for every scenario what to measure and what to set."""
    parts = _shares(found)
    sentences = [f"{share.subject}: {findings.verdict(share)}" for share in parts]
    tables = [(f"{share.name}: {title}", headings, rows) for share in parts for title, headings, rows in _tables(share)]
    return Brief(sentences, tables, CAVEAT)


def _shares(found: Results) -> list[Share]:
    return shares(found, listed="results", priced="best")


def _tables(share: Share) -> list[tuple[str, list[str], list[list[str]]]]:
    measured = [
        [one.label, one.size, findings.number(one.percent, 2), f"± {findings.number(2 * one.error, 2)}"]
        for one in findings.advice(share)
    ]
    return [
        ("what to measure, and when to stop", ["measurement", "stop at", "worth", "error"], measured),
        ("what to set until then", *findings.lengths(share)),
        ("what better would be worth", *findings.better(share)),
    ]


def _section(share: Share) -> Section:
    errors = uncertainties(fastest(share["results"]), drawn=True)
    return Section(
        scenario=share,
        verdict=findings.verdict(share),
        pictures=pictures(share, FIGURES, SENTENCES),
        tables=_tables(share),
        change=findings.change(share),
        errors=errors,
        largest_error=largest(errors),
    )
