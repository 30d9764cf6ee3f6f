"""The page and the terminal's answer of `frontier`: speed per user against throughput, with and without drafting."""

from collections.abc import Callable
from dataclasses import dataclass

from reports import change
from reports import frontier_findings as findings
from reports.caveats import EXACT_CAVEAT
from reports.figures.frontier import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.scenario import Row
from reports.share import Share, shares
from reports.uncertainty import EXACT
from studies.results import Results

SENTENCES: dict[str, tuple[Callable[[Share], str], Callable[[Share], str]]] = {
    "frontier": (findings.frontier_title, findings.frontier_sentence),
    "doubling": (findings.trade_title, findings.trade_sentence),
}


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it."""

    scenario: Share
    verdict: str
    pictures: list[Picture]
    headings: list[str]
    operating: list[list[str]]
    along_batch: list[str]
    change: list[str]


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(share) for share in _shares(read)]
    named = {section.scenario.name for section in sections}
    filling = {
        "sections": sections,
        "caveat": EXACT_CAVEAT,
        "exact": EXACT,
        "achieved": any(section.scenario.achieved for section in sections),
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("frontier.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """The answer, and every scenario's operating points."""
    parts = _shares(found)
    sentences = [f"{share.subject}: {findings.verdict(share)}" for share in parts]
    tables = [
        (f"{share.name}: the highest throughput", *operating(share)) for share in parts if not share.priced.is_empty()
    ]
    return Brief(sentences, tables, EXACT_CAVEAT)


def operating(share: Share) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row of words per context, objective and whether drafting is allowed."""
    limited = any(point.objective is not None for point in findings.points(share))
    priced = share["operating"]["dollars_per_million_tokens"].is_not_null().any()
    headings = ["context", *(["token within"] if limited else []), "drafting", "batch", "ahead", "tokens/s user"]
    headings += ["tokens/s device", *(["per million tokens"] if priced else [])]
    rows = []
    for point in findings.points(share):
        for name, row in (("no", point.plain), ("yes", point.drafted)):
            limit = "any" if point.objective is None else findings.milliseconds(point.objective)
            rows.append([f"{point.context:,}", *([limit] if limited else []), name, *_reached(row, bool(priced))])
    return headings, rows


def _reached(row: Row | None, priced: bool) -> list[str]:
    if row is None:
        return ["none", "–", "–", "–", *(["–"] if priced else [])]
    reached = [f"{row[f'tokens_per_second_{whose}']:,.0f}" for whose in ("user", "device")]
    money = [findings.dollars(row["dollars_per_million_tokens"])] if priced else []
    return [f"{row['batch']:,}", f"{row['draft_length']}", *reached, *money]


def _shares(found: Results) -> list[Share]:
    return shares(found, listed="operating", priced="results")


def _section(share: Share) -> Section:
    headings, rows = operating(share)
    return Section(
        scenario=share,
        verdict=findings.verdict(share),
        pictures=pictures(share, FIGURES, SENTENCES),
        headings=headings,
        operating=rows,
        along_batch=findings.along_batch(share),
        change=change.sentences(share.here("results")),
    )
