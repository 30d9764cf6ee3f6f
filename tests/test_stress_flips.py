"""What would change the conclusion: a change that is told turns the answer, and none smaller does."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from studies import flips
from tests.statistics import all_within
from tests.test_stress import concluded, worlds_of


@cache
def unknowns() -> dict[tuple[int, str], flips.Unknown]:
    """Every unknown at both batches."""
    every = flips.listed(worlds_of(), [(b, 0, np.arange(4)) for b in range(2)])
    return {(worlds_of().levels.built.batches[b], one.name): one for (b, _, _), found in every for one in found}


def test_a_flip_flips_and_a_little_less_does_not() -> None:
    shown = [row for row in concluded()["flips"].iter_rows(named=True) if row["flips_at"] is not None]
    assert {row["question"] for row in shown} == {"length", "sign"}
    lengths = np.asarray(worlds_of().levels.built.lengths)
    for row in shown:
        if row["unknown"] == "acceptance":  # told by its S(1), which is no position
            continue
        unknown = unknowns()[row["batch"], row["unknown"]]
        has_turned = flips.turned(row["question"], unknown.speedups(np.array([unknown.now]))[0], lengths)
        at = row["flips_at"] if row["deviations"] is None else row["deviations"]
        short = unknown.now + 0.999 * (at - unknown.now)
        assert has_turned(unknown.speedups(np.array([short, at]))).tolist() == [False, True], row
        assert int(lengths[np.argmax(unknown.speedups(np.array([at]))[0])]) == row["becomes"]
        assert unknown.low <= at <= unknown.high
        assert unknown.value(at) == pytest.approx(row["flips_at"])


def test_where_nothing_turns_no_value_does() -> None:
    never = concluded()["flips"].filter(pl.col("flips_at").is_null(), question="length").to_dicts()
    assert never
    for row in never:
        unknown = unknowns()[row["batch"], row["unknown"]]
        best = np.argmax(unknown.speedups(np.linspace(unknown.low, unknown.high, 101)), axis=1)
        assert len(set(best.tolist())) == 1, row


def test_a_term_moves_along_its_own_prior() -> None:
    priors = worlds_of().levels.built.priors
    assert priors is not None
    draws = [priors.draw(0, world).moe_layer_seconds for world in range(4000)]
    for normal, share in ((-1.0, 0.158655), (1.0, 0.841345), (2.0, 0.97725)):
        below = np.mean(np.array(draws) <= priors.along("moe_layer_seconds", normal))
        all_within(below, share, np.sqrt(share * (1 - share) / 4000), largest=0.01)
