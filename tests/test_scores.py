"""The interval score against its definition, and tables of scores against counts by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies import scores


@given(low=st.floats(-5, 5), width=st.floats(0, 5), value=st.floats(-9, 9), level=st.floats(0.5, 0.99))
def test_the_interval_score_is_gneiting_and_rafterys(low, width, value, level) -> None:
    high, slow = low + width, width
    if value < low:
        slow += 2 / (1 - level) * (low - value)
    if value > high:
        slow += 2 / (1 - level) * (value - high)
    assert scores.interval_score(low, high, value, level) == pytest.approx(slow, abs=1e-9)
    assert scores.interval_score(low, high, value, level) >= width - 1e-12


def test_the_true_quantiles_have_the_best_expected_score() -> None:
    """The score is proper: of normal values, intervals narrower or wider than the central 90 % score worse."""
    values = np.random.default_rng(0).standard_normal(100_000)
    found = [scores.interval_score(-z, z, values).mean() for z in (1.2, scores.EDGE, 2.2)]
    assert found[1] < found[0]
    assert found[1] < found[2]


def rows() -> pl.DataFrame:
    common = {"scenario": "s", "quantity": "step ratio", "discrepancy": 0.05}
    of = {
        "draft_length": [1, 1, 3],
        "measured": [1.0, 2.0, 4.0],
        "predicted": [1.1, 2.0, 2.0],
        "predicted_p05": [0.9, 1.5, 1.0],
        "predicted_p95": [1.2, 2.5, 3.0],
        "covered": [True, True, False],
        "roofline": [1.0, 2.0, 4.0],
        "tokens_only": [1.0, 1.0, 1.0],
    }
    frame = pl.DataFrame(of).with_columns(**{name: pl.lit(value) for name, value in common.items()})
    return frame.with_columns(error=pl.col("predicted") / pl.col("measured") - 1)


def test_a_table_counts_by_length_and_in_all() -> None:
    table = scores.table(rows())
    assert table["draft_length"].to_list() == [None, 1, 3]
    assert table["rows"].to_list() == [3, 2, 1]
    assert table["coverage"].to_list() == pytest.approx([2 / 3, 1, 0])
    assert table["median_error"].to_list() == pytest.approx([0.1, 0.05, 0.5])
    assert table["median_width"].to_list() == pytest.approx([0.5, (0.3 / 1.1 + 0.5) / 2, 1.0])
    assert table["roofline_median_error"].to_list() == pytest.approx([0, 0, 0])
    assert table["tokens_only_median_error"].to_list() == pytest.approx([0.5, 0.25, 0.75])
    last = np.log(3.0 / 1.0) + 20 * np.log(4 / 3)
    assert table["interval_score"][2] == pytest.approx(last)


def test_naive_predictors_get_the_interval_of_our_discrepancy() -> None:
    """5 % a row, of two rows for a ratio: a right number scores its width, a wrong one the distance beyond it too."""
    table, edge = scores.table(rows()), scores.EDGE * 0.05 * np.sqrt(2)
    assert table["roofline_interval_score"][0] == pytest.approx(2 * edge)
    assert table["tokens_only_interval_score"][2] == pytest.approx(2 * edge + 20 * (np.log(4) - edge))
    one = rows().with_columns(quantity=pl.lit("seconds per token"))
    assert scores.table(one)["roofline_interval_score"][0] == pytest.approx(2 * edge / np.sqrt(2))
