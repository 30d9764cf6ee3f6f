"""The page and the terminal's answer of `stress`: which assumption moves the answer, and what would change it."""

from collections.abc import Callable
from dataclasses import dataclass

from reports import stress_findings as findings
from reports.caveats import DRAWN_CAVEAT, ROOFLINE_CAVEAT
from reports.figures.stress import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.share import Share, shares
from reports.words import gain
from studies.results import Results

SENTENCES: dict[str, tuple[Callable[[Share], str], Callable[[Share], str]]] = {
    "ladder": (findings.ladder_title, findings.ladder_sentence),
    "shares": (findings.shares_title, findings.shares_sentence),
}
NAIVE = ["batch", "assumed instead", "best length (full)", "speedup there", "speedup promised", "regret"]


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it."""

    scenario: Share
    verdict: str
    pictures: list[Picture]
    naive: list[list[str]]
    ladders: dict[str, list[list[str]]]
    flips: dict[int, list[str]]
    largest_error: str


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(share) for share in _shares(read)]
    named = {section.scenario.name for section in sections}
    filling = {
        "sections": sections,
        "caveat": _caveat(read),
        "headings": NAIVE,
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("stress.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """The answer; the ladder at each batch; what would turn the answer."""
    sentences, tables = [], []
    for share in _shares(found):
        sentences.append(f"{share.subject}: {findings.verdict(share)}")
        for batch, said in findings.flips(share).items():
            sentences += [f"Batch {batch:,}: {one}" for one in said[:2]]
        batches = share.here("results")["batch"].unique().sort().to_list()
        names = [row["assumption"] for row in findings.rungs(share, batches[0])]
        columns = [_ladder(share, batch) for batch in batches]
        lines = [
            [name, *(f"{row[1]} {row[2].split(' ±')[0]}" for row in rows)]
            for name, *rows in zip(names, *columns, strict=True)
        ]
        headings = ["assumed from here on", *(f"batch {batch:,}" for batch in batches)]
        tables.append((f"{share.name}: best length and speedup promised", headings, lines))
    return Brief(sentences, tables, _caveat(found))


def _caveat(found: Results) -> str:
    drawn = not set(found["results"]["prices"].unique()) & {"ideal", "post"}
    return f"These odds {DRAWN_CAVEAT if drawn else ROOFLINE_CAVEAT}"


def _shares(found: Results) -> list[Share]:
    return shares(found, listed="results", priced="results")


def _ladder(share: Share, batch: int) -> list[list[str]]:
    return [
        [
            row["assumption"],
            str(row["best_draft_length"]),
            f"{gain(row['speedup'])} ± {200 * row['speedup_se']:.1f}",
            f"{100 * row['p_loss']:.0f} %",
            f"{gain(row['full_speedup'])}",
            f"{100 * row['regret']:.1f} % ± {200 * row['regret_se']:.1f}",
        ]
        for row in findings.rungs(share, batch)
    ]


def _section(share: Share) -> Section:
    ladders = {f"{batch:,}": _ladder(share, batch) for batch in share.here("results")["batch"].unique().sort()}
    return Section(
        scenario=share,
        verdict=findings.verdict(share),
        pictures=pictures(share, FIGURES, SENTENCES),
        naive=findings.naive(share),
        ladders=ladders,
        flips=findings.flips(share),
        largest_error=findings.largest_error(share),
    )
