"""What the results of `optimal-k` show: each figure's title and sentence, the gutters."""

import polars as pl

from reports.scenario import Scenario
from reports.words import gain, listed, percent, span

RISKY = 0.1  # a P(loss) that a title does not keep to itself


def speedup_title(scenario: Scenario) -> str:
    """Where drafting pays most."""
    peak = scenario.peak()
    if peak["speedup"] > 1:
        return (
            f"Drafting {peak['draft_length']} ahead at batch {peak['batch']} pays most: speedup {peak['speedup']:.2f}"
        )
    return f"Drafting does not pay: at best, speedup {peak['speedup']:.2f} at batch {peak['batch']}"


def speedup_sentence(scenario: Scenario) -> str:
    """The batches that gain most and least."""
    rows = [row for row in scenario.best_drafts() if row["context_tokens"] == scenario.context]
    ranked = sorted(rows, key=lambda row: -float(row["speedup"]))
    place = f"At {scenario.context:,} tokens of context"
    phrases = [
        f"{gain(row['speedup'], 1)} at batch {row['batch']} ({row['draft_length']} ahead,"
        f" P(loss) {percent(row['p_loss'])})"
        for row in (ranked[0], ranked[-1])
    ]
    if len(ranked) == 1:
        return f"{place}, the best length above 0 gives {phrases[0]}."
    return f"{place}, the best length above 0 gives from {phrases[0]} down to {phrases[1]}."


def best_length_title(scenario: Scenario) -> str:
    """How far to draft, over all cells."""
    lengths = scenario.best["best_draft_length"].to_list()
    none = lengths.count(0)
    if none == len(lengths):
        return "Draft nothing, at any batch or context"
    if none:
        return f"Draft nothing in {none} of {len(lengths)} cells, else up to {max(lengths)} ahead"
    risk = max(row["at_best"]["p_loss"] for row in scenario.choices() if row["at_best"])
    pays = "Drafting pays on average" if risk >= RISKY else "Drafting pays"
    odds = f" (P(loss) up to {percent(risk)})" if risk >= RISKY else ""
    return f"{pays} in every cell that fits: draft {span(min(lengths), max(lengths))} ahead{odds}"


def best_length_sentence(scenario: Scenario) -> str:
    """How many cells draft, the commonest length, and how often it is the best."""
    choices = scenario.choices()
    open_cells = [row for row in choices if row["at"] is not None]
    drafting = [row["best_draft_length"] for row in open_cells if row["best_draft_length"] > 0]
    said = f"Drafting pays in {len(drafting)} of {len(open_cells)} cells of batch and context"
    if drafting:
        most = max(drafting.count(length) for length in drafting)
        usual = sorted(length for length in set(drafting) if drafting.count(length) == most)
        often = "always" if len(set(drafting)) == 1 else "most often"
        said += f", {often} {' or '.join(map(str, usual))} ahead"
    if len(open_cells) < len(choices):
        said += f"; {len(choices) - len(open_cells)} more do not fit in memory"
    sure = [row["p_best"] for row in open_cells]
    low, high = percent(min(sure)), percent(max(sure))
    share = low if low == high else f"{low} to {high}"
    return f"{said}. The length shown is the best one in {share} of worlds."


def experts_title(scenario: Scenario) -> str:
    """How far uniform routing is off."""
    off = _farthest(scenario)["ratio"] - 1
    if abs(off) < 0.01:
        return "Uniform routing counts distinct experts right, within 1 %"
    states = "overstates" if off > 0 else "understates"
    row = _farthest(scenario)
    place = f"batch {row['batch']}, length {row['draft_length']}"
    return f"Uniform routing {states} distinct experts by up to {percent(abs(off))} ({place})"


def experts_sentence(scenario: Scenario) -> str:
    """The cell where uniform routing is furthest off."""
    row = _farthest(scenario)
    if abs(row["ratio"] - 1) < 0.01:
        return "At every batch and draft length, uniform routing is within 1 % of what was simulated."
    return (
        f"At batch {row['batch']} and draft length {row['draft_length']}, a verify step reads"
        f" {row['distinct_experts']:.1f} distinct experts in a layer; uniform routing would read"
        f" {row['distinct_experts_uniform']:.1f} ({gain(row['ratio'], 1)})."
    )


def _farthest(scenario: Scenario) -> dict[str, float]:
    off = pl.col("ratio").log().abs()
    return scenario.experts().sort(off, descending=True, maintain_order=True).row(0, named=True)


def along_batch(scenario: Scenario) -> list[str]:
    """Where drafting starts and stops paying as the batch grows; contexts alike share a sentence."""
    contexts: dict[str, list[str]] = {}
    for (context,), rows in scenario.drafts.group_by("context_tokens", maintain_order=True):
        contexts.setdefault(_course(scenario, int(str(context)), rows), []).append(f"{context:,}")
    return [f"At {listed(same)} tokens of context, drafting {course}." for course, same in contexts.items()]


def _course(scenario: Scenario, context: int, rows: pl.DataFrame) -> str:
    batches = rows["batch"].unique().sort().to_list()
    changes = scenario.changes.filter(pl.col("context_tokens") == context).sort("batch_below").to_dicts()
    if not changes:
        pays = "pays" if float(str(rows["speedup"].max())) > 1 else "does not pay"
        if len(batches) == 1:
            return f"{pays} at batch {batches[0]}"
        return f"{pays} at {'every' if pays == 'pays' else 'any'} batch from {span(batches[0], batches[-1])}"
    paid = not changes[0]["pays_above"]
    phrases = [f"{'pays' if paid else 'does not pay'} at batch {batches[0]}"]
    for change in changes:
        verb = "stops paying" if not change["pays_above"] else "pays again" if paid else "starts to pay"
        paid = paid or change["pays_above"]
        phrases.append(f"{verb} between batch {change['batch_below']} and {change['batch_above']}")
    return listed(phrases)
