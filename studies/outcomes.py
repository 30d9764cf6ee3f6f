"""What a run chose and the cells it chose among, in one form for every study that can be compared."""

import polars as pl

from studies.results import Results

PLACE = ["scenario", "batch", "context_tokens"]
CELL = {
    "speedup": pl.Float64,
    "speedup_se": pl.Float64,
    "speedup_trace_se": pl.Float64,
    "speedup_p05": pl.Float64,
    "speedup_p95": pl.Float64,
    "p_loss": pl.Float64,
    "tokens_per_second_device": pl.Float64,
}


def frames(found: Results) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(choices: PLACE, best_draft_length, recommended; cells: PLACE, draft_length and CELL, null where not known).

    Cells are those that have a price; a place is chosen at where its recommended length is one of them.
    """
    if found.study == "stress":  # the last rung is the full model
        last = found["results"].filter(pl.col("rung") == pl.col("rung").max().over(PLACE))
        choices = last.with_columns(recommended=pl.col("best_draft_length"))
        cells = last.with_columns(draft_length=pl.col("best_draft_length"))
    elif found.study == "frontier":  # the best length stands at every cell of its batch
        choices = (
            found["results"].with_columns(recommended=pl.col("best_draft_length")).unique(PLACE, maintain_order=True)
        )
        cells = found["results"]
    else:
        choices, cells = found["best"], found["results"]
    cells = cells.filter(pl.col("speedup").is_not_null())
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in CELL.items() if name not in cells.columns]
    cells = cells.with_columns(missing).select(*PLACE, "draft_length", *CELL)
    choices = choices.select(*PLACE, "best_draft_length", "recommended")
    priced = cells.rename({"draft_length": "recommended"})
    return choices.join(priced, on=[*PLACE, "recommended"], how="semi", maintain_order="left"), cells
