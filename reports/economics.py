"""The page and the terminal's answer of `economics`: the charts, the claims, and the way from the post to the model."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import polars as pl
from matplotlib.figure import Figure

from reports import ablation, attention_table, change, claims, explorer, style
from reports import economics_findings as findings
from reports.answer import moved
from reports.caveats import EXACT_CAVEAT
from reports.figures import ablation as ablation_figure
from reports.figures.economics import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.share import Share, shares
from reports.uncertainty import EXACT
from studies.results import Results

SENTENCES: dict[str, tuple[Callable[[Share], str], Callable[[Share], str]]] = {
    "intensity": (findings.intensity_title, findings.intensity_sentence),
    "ledger": (findings.ledger_title, findings.ledger_sentence),
    "map": (findings.map_title, findings.map_sentence),
}
FEW = 16  # batches that a table shows one and all


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it."""

    scenario: Share
    verdict: str
    moved: str
    pictures: list[Picture]
    contexts: list[str]
    lengths: list[tuple[str, list[tuple[str, str]]]]
    along_batch: list[str]
    attention: list[attention_table.Kind]
    change: list[str]


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(share) for share in _shares(read)]
    named = {section.scenario.name for section in sections}
    steps = _ablation(read)
    filling = {
        "sections": sections,
        "explorer": explorer.embedded(read),
        "caveat": EXACT_CAVEAT,
        "exact": EXACT,
        "achieved": any(section.scenario.achieved for section in sections),
        "claims": claims.sections(read["claims"]),
        "counts": claims.counts(read["claims"]),
        "broken": claims.broken(read["claims"]),
        "ablation": steps,
        "steps": ablation.steps(read["ablation"]),
        "step_contexts": [f"{context:,}" for context in ablation.contexts(read["ablation"])],
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("economics.html.j2", filling, [*(shown for part in sections for shown in part.pictures), *steps])


def brief(found: Results) -> Brief:
    """Where drafting pays, how many claims hold, what the ablation shows; best lengths by batch and context."""
    parts = _shares(found)
    sentences = [
        f"{share.subject}: {findings.verdict(share)} {moved(share['best'], share.context)}".rstrip() for share in parts
    ]
    sentences.append(f"The post's statements, its audit and the discussion: {claims.counts(found['claims'])}.")
    steps = ablation.sentence(found["ablation"])
    sentences.append(f"From the post's prices to the true model: {steps[:1].lower()}{steps[1:]}")
    tables = []
    for share in parts:
        headings = ["batch", *(f"{context:,} tokens" for context in share.contexts)]
        if share.contexts:
            rows = [[batch, *("  ".join(cell).strip() for cell in cells)] for batch, cells in best_lengths(share)]
            tables.append((f"{share.name}: best draft length and its speedup", headings, rows))
    return Brief(sentences, tables, EXACT_CAVEAT)


def best_lengths(share: Share) -> list[tuple[str, list[tuple[str, str]]]]:
    """Batch, and (best length, its speedup) at each context: at every batch, or those nearest powers of two."""
    batches = share["best"]["batch"].unique().sort().to_list()
    cells = {(row["batch"], row["context_tokens"]): row for row in share["best"].iter_rows(named=True)}
    return [(f"{batch:,}", [_length(cells.get((batch, at))) for at in share.contexts]) for batch in rungs(batches)]


def rungs(batches: list[int]) -> list[int]:
    """All batches if they are few; else those nearest powers of two, and the last."""
    if len(batches) <= FEW:
        return batches
    powers = [1 << place for place in range(64) if batches[0] <= 1 << place <= batches[-1]]
    return sorted({min(batches, key=lambda batch: abs(log(batch / power))) for power in powers} | {batches[-1]})


def _length(row: dict[str, float] | None) -> tuple[str, str]:
    """Best length and speedup in words; the second empty where it does not fit."""
    return ("does not fit", "") if row is None else (str(row["best_draft_length"]), f"{row['speedup']:.2f}x")


def _shares(found: Results) -> list[Share]:
    return shares(found, listed="results", priced="best")


def _section(share: Share) -> Section:
    return Section(
        scenario=share,
        verdict=findings.verdict(share),
        moved=moved(share["best"], share.context),
        pictures=pictures(share, FIGURES, SENTENCES),
        contexts=[f"{context:,}" for context in share.contexts],
        lengths=best_lengths(share),
        along_batch=findings.along_batch(share),
        attention=attention_table.kinds(share["attention"]),
        change=change.sentences(_rungs_here(share)),
    )


def _rungs_here(share: Share) -> pl.DataFrame:
    """The grid at the shown context and at the batches that tables show."""
    here = share.here("results")
    return here.filter(pl.col("batch").is_in(rungs(here["batch"].unique().sort().to_list()))) if here.height else here


def _ablation(read: Results) -> list[Picture]:
    """The figure of the ablation: one for the whole study."""
    frame = read["ablation"]
    with style.applied():
        figure: Figure | None = ablation_figure.lengths(frame)
        if figure is None:
            return []
        return [Picture("ablation", ablation.title(frame), ablation.sentence(frame), figure)]
