"""What would change the answer is bookkeeping over the frames: each number again, by hand."""

import re

import polars as pl
import pytest

from reports import change
from reports.uncertainty import largest, uncertainties

# batch 1 pays most at 2, batch 4 nowhere, batch 16 at 1; batch 32 holds short drafts only.
SPEEDUPS = {1: [1.0, 1.2, 1.25, 1.1], 4: [1.0, 0.98, 0.95, 0.9], 16: [1.0, 1.5, 1.47, 1.2], 32: [1.0, 1.3, None, None]}
TOKENS = [1.0, 1.7, 2.2, 2.5]


def rows(speedups: dict[int, list[float | None]]) -> pl.DataFrame:
    listed = [
        {"batch": batch, "draft_length": length, "speedup": speedup, "tokens_per_step": TOKENS[length]}
        for batch, line in speedups.items()
        for length, speedup in enumerate(line)
    ]
    return pl.DataFrame(listed)


def test_where_the_gain_ends_starts_and_turns() -> None:
    ends, starts, turns, static = change.sentences(rows(SPEEDUPS))
    assert "fall by 20.0 % (batch 1, 2 ahead: from 2.20 to 1.76)" in ends  # 1 - 1/1.25, 2.2/1.25
    assert "by 33.3 % (batch 16, 1 ahead: from 1.70 to 1.13)" in ends
    assert "takes 25.0 % or 50.0 % longer" in ends
    assert "(batch 4)" in starts
    assert "2.0 % more tokens per step (1.73 instead of 1.70), or a step 2.0 % shorter" in starts
    assert "batch 16 (2 is 2.0 % behind 1) and batch 1 (1 is 4.0 % behind 2)" in turns.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    # lost at 1, 4, 16: length 0 20, 0, 33 %; 1 4, 2, 0 %; 2 0, 5, 2 %; 3 12, 10, 20 %.
    assert "every batch from 1 to 16, 1 loses least: at most 4.0 % of the best speedup (batch 1)" in static


@pytest.mark.parametrize(
    "speedups",
    [{1: [1.0]}, {1: [1.0, 0.9, 0.8, 0.7]}, {1: [1.0, 1.9, 1.8, 1.7]}, {8: [None, None, None, None]}, {}],
)
def test_whatever_is_priced_something_true_is_said(speedups: dict[int, list[float | None]]) -> None:
    frame = rows(speedups) if speedups else rows({1: [1.0]}).clear()
    said = change.sentences(frame)
    pays = any((value or 0) > 1 for line in speedups.values() for value in line)
    assert any("goes on paying" in one for one in said) == pays
    assert not any(re.search(r"\b(nan|inf|None)\b", one) for one in said)


def cells(**columns: list[float]) -> pl.DataFrame:
    plain = {"speedup": [2.0, 1.0], "speedup_se": [0.02, 0.03], "speedup_p05": [1.8, 0.95], "speedup_p95": [2.2, 1.05]}
    return pl.DataFrame(plain | columns)


def test_the_largest_of_the_three_errors_is_named() -> None:
    errors = uncertainties(cells(speedup_trace_se=[0.4, 0.3]), drawn=True)
    assert [round(error.median or 0, 4) for error in errors] == [
        0.02,
        0.25,
        round((0.4 / 3.2898 / 2 + 0.1 / 3.2898) / 2, 4),
    ]
    assert largest(errors).startswith("The largest is the trace error: typically 25.00 %")


def test_an_error_not_measured_is_not_the_largest() -> None:
    errors = uncertainties(cells(), drawn=False)
    assert errors[1].median is None
    assert "trace error" not in largest(errors)
    assert [error.cure for error in errors][2] == "nothing: it is the traffic"
