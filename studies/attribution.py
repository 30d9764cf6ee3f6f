"""Which family moves the answer: exact Shapley shares over all 2^7 corners, whatever the order of the ladder.

Three games at each batch and context, on the same worlds: the log of speedup at one fixed length, that of the length
each corner would choose, and the regret of that length under the full model (montecarlo/shapley.py). A share of log
speedup s is a factor e^s of speedup; the shares of regret sum to minus the regret of the post's length.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from montecarlo import shapley
from montecarlo.shapley import Attribution
from studies.choosing import RESAMPLES, Choosing
from studies.ladder import FAMILIES

GAMES = ("fixed", "best", "regret")


def played(table: Choosing, seed: int) -> tuple[np.ndarray, Attribution]:
    """(values [2^7, games], their attribution [7, games]) of one batch and context, the choice made anew in each
    resample.
    """

    def values(worlds: np.ndarray) -> np.ndarray:
        return np.stack([table.fixed(worlds), table.believed(worlds), table.regret(worlds)], axis=1)

    found = shapley.attribute(values, table.worlds, resamples=RESAMPLES, seed=seed)
    return values(np.arange(table.worlds)), found


def rows(
    place: dict[str, Any], table: Choosing, lengths: np.ndarray, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of shares.parquet and of interactions.parquet at one batch and context; `lengths` are those kept."""
    values, found = played(table, seed)
    everyone = np.arange(table.worlds)
    fixed = table.first + int(np.argmin(table.drafted[table.full][everyone].mean(axis=0)[table.first :]))
    shares: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for g, game in enumerate(GAMES):
        one = Attribution(
            found.shares[:, g], found.shares_error[:, g], found.interactions[..., g], found.interactions_error[..., g]
        )
        shares += [
            place
            | {
                "game": game,
                "draft_length": int(lengths[fixed]) if game == "fixed" else None,
                "family": family,
                "share": one.shares[i],
                "share_se": one.shares_error[i],
                "none": values[0, g],
                "full": values[-1, g],
            }
            for i, family in enumerate(FAMILIES)
        ]
        pairs += [place | {"game": game} | row for row in _pairs(one)]
    return shares, pairs


def _pairs(found: Attribution) -> Iterator[dict[str, Any]]:
    """Every pair of families, the notable ones marked."""
    notable, names = set(found.notable()), list(FAMILIES)
    for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
        yield {
            "first": names[i],
            "second": names[j],
            "interaction": found.interactions[i, j],
            "interaction_se": found.interactions_error[i, j],
            "notable": (int(i), int(j)) in notable,
        }
