"""The answer says where the grid ended too soon, what is left in throughput, and what its odds leave out."""

import polars as pl
import pytest

from reports.answer import answer
from reports.caveats import caveat
from studies.results import Results
from tests.test_study import studied

FEW = {"batch": "[1, 4]", "draft_length": "[0, 1, 2]", "world_requests": "8", "worlds": "4"}
LONGEST = "the best length is the longest studied"


@pytest.fixture(scope="module")
def served() -> Results:
    """Drafts that always pay, prompts prefilled."""
    return studied(**FEW, drafter="free", acceptance="1.0", prompt_tokens="2000", output_tokens="100")


def changed(found: Results, **columns: pl.Expr) -> Results:
    frames = found.frames | {"best": found["best"].with_columns(**columns)}
    return Results(found.study, frames, found.notes, found.meta)


def test_the_longest_length_studied_is_named(served: Results) -> None:
    assert set(served["best"]["best_draft_length"]) == {2}
    assert f"At batch 1 and 4 {LONGEST}" in answer(served)[0]
    shorter = changed(served, best_draft_length=pl.lit(1, pl.Int64), recommended=pl.lit(1, pl.Int64))
    assert LONGEST not in answer(shorter)[0]


def test_throughput_is_said_where_prompts_are_given(served: Results) -> None:
    rows = served["results"].filter(draft_length=2)["throughput_speedup"]
    least, most = (f"{100 * (gain - 1):+.0f}" for gain in (rows.min(), rows.max()))
    assert f"In throughput, prompts included, that is {least} to {most} %." in answer(served)[0]
    frame = served["results"].with_columns(throughput_speedup=pl.lit(None, pl.Float64))
    assert "throughput" not in answer(Results("optimal-k", served.frames | {"results": frame}, {}, served.meta))[0]


def test_what_the_odds_leave_out_is_said(served: Results) -> None:
    row = served["results"].row(0, named=True)
    given = f"Acceptance ({row['acceptance']}) and routing ({row['routing']}) are taken as given"
    assert given in caveat(served)
