"""The page and the terminal's answer of `optimal-k`: the answer, the figures behind it, and what it rests on."""

from dataclasses import dataclass

import polars as pl

from reports import change, explorer, findings
from reports.answer import answer, moved, verdict
from reports.caveats import caveat
from reports.figures.optimal_k import FIGURES
from reports.page import Brief, Page, Picture, pictures
from reports.scenario import Scenario, split
from reports.table import Table, table
from reports.uncertainty import Uncertainty, largest, uncertainties
from reports.words import percent
from studies.results import Results

SENTENCES = {
    "speedup": (findings.speedup_title, findings.speedup_sentence),
    "best-length": (findings.best_length_title, findings.best_length_sentence),
    "distinct-experts": (findings.experts_title, findings.experts_sentence),
}


@dataclass(frozen=True)
class Section:
    """One scenario as the page shows it."""

    scenario: Scenario
    verdict: str
    moved: str
    one: str
    pictures: list[Picture]
    table: Table
    along_batch: list[str]
    change: list[str]
    errors: list[Uncertainty]
    largest_error: str


def page(read: Results) -> Page:
    """Everything the page shows."""
    sections = [_section(scenario) for scenario in split(read)]
    named = {section.scenario.name for section in sections}
    filling = {
        "sections": sections,
        "explorer": explorer.embedded(read),
        "caveat": caveat(read),
        "drawn": any(section.scenario.drawn for section in sections),
        "calibrated": all(section.scenario.calibrated for section in sections),
        "general_notes": [note for name, notes in read.notes.items() if name not in named for note in notes],
    }
    return Page("optimal_k.html.j2", filling, [picture for section in sections for picture in section.pictures])


def brief(found: Results) -> Brief:
    """Recommended length, its speedup and P(loss) by batch and context."""
    tables = []
    for (name,), rows in found["best"].partition_by("scenario", as_dict=True, maintain_order=True).items():
        contexts = rows["context_tokens"].unique().sort().to_list()
        priced = found["results"].drop_nulls("speedup").filter(scenario=name).iter_rows(named=True)
        cells = {
            (row["batch"], row["context_tokens"], row["draft_length"]): (
                f"{row['speedup']:.2f}x  {percent(row['p_loss'])}"
            )
            for row in priced
        }
        recommended = {(row["batch"], row["context_tokens"]): row["recommended"] for row in rows.iter_rows(named=True)}
        lines = []
        for batch in rows["batch"].unique().sort():
            line = [str(batch)]
            for context in contexts:
                length = recommended.get((batch, context))
                line.append("does not fit" if length is None else f"{length}  {cells[batch, context, length]}")
            lines.append(line)
        headings = ["batch", *(f"{context:,} tokens" for context in contexts)]
        tables.append((f"{name}: recommended draft length, its speedup and P(loss)", headings, lines))
    return Brief(answer(found), tables, caveat(found))


def _section(scenario: Scenario) -> Section:
    errors = []
    if scenario.drafts.height:
        errors = uncertainties(pl.DataFrame(scenario.best_drafts(), schema=scenario.grid.schema), drawn=scenario.drawn)
    return Section(
        scenario=scenario,
        verdict=verdict(scenario),
        moved=moved(scenario.best, scenario.context),
        one=change.one_length(scenario.grid.filter(context_tokens=scenario.context)),
        pictures=pictures(scenario, FIGURES, SENTENCES),
        table=table(scenario),
        along_batch=findings.along_batch(scenario),
        change=change.sentences(scenario.grid.filter(context_tokens=scenario.context)),
        errors=errors,
        largest_error=largest(errors) if errors else "",
    )
