"""Which switch moves the answer: exact shares of a game between assumptions, whatever order they are switched in.

A game of n players has a value for each of its 2^n coalitions, the players that are switched on; bit i of the index
of a coalition is player i. m(S) is what a coalition adds to all that its parts add (Harsanyi's dividend):

    v(S) = sum over T <= S of m(T)
    I(T) = sum over S >= T of m(S) / (|S| - |T| + 1)

I of one player is its Shapley value (Shapley, Contributions to the Theory of Games II, 1953), of two their
interaction (Grabisch and Roubens, Int. J. of Game Theory 28, 1999, in its form by dividends): what the second adds
to the first, averaged over the orders of all others with the pair taken as one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from montecarlo.estimate import Floats
from montecarlo.keys import Stream, generator

Integers = NDArray[np.int64]

LEVEL = 0.05  # chance that any pair without interaction is named


def players(coalitions: int) -> int:
    """Number of players of a game with that many coalitions; ValueError unless it is a power of two."""
    if coalitions < 2 or coalitions & (coalitions - 1):
        raise ValueError(f"a game has 2^n coalitions for n of 1 or more players, not {coalitions}")
    return coalitions.bit_length() - 1


def dividends(values: Floats) -> Floats:
    """m(S) [2^n, ...] from v(S) [2^n, ...]: the Möbius transform, one player at a time."""
    found = np.array(values, np.float64)
    for player in range(players(len(found))):
        off, on = np.moveaxis(found.reshape(-1, 2, 2**player, *found.shape[1:]), 1, 0)
        on -= off
    return found


def _members(count: int) -> tuple[Floats, Floats]:
    """(who is in each coalition [n, 2^n], how many are [2^n])."""
    inside = (np.arange(2**count) >> np.arange(count)[:, None] & 1).astype(np.float64)
    return inside, inside.sum(axis=0)


def shares(values: Floats) -> Floats:
    """Shapley value of each player [n, ...], in the unit of `values` [2^n, ...]; they sum to v(all) - v(none)."""
    inside, size = _members(players(len(values)))
    return np.tensordot(inside / np.maximum(size, 1), dividends(values), axes=1)


def interactions(values: Floats) -> Floats:
    """Interaction of each pair [n, n, ...] (symmetric, diagonal 0), in the unit of `values` [2^n, ...].

    Positive: the two move the answer more together than one by one; 0 where they add up.
    """
    count = players(len(values))
    inside, size = _members(count)
    pairs = inside[:, None] * inside[None] / np.maximum(size - 1, 1)
    pairs[np.arange(count), np.arange(count)] = 0.0
    return np.tensordot(pairs, dividends(values), axes=1)


@dataclass(frozen=True)
class Attribution:
    """Shares [n, ...] and interactions [n, n, ...] of a game over worlds, each with its standard error."""

    shares: Floats
    shares_error: Floats
    interactions: Floats
    interactions_error: Floats

    def notable(self) -> list[tuple[int, int]]:
        """Pairs of players that interact beyond chance, the strongest first; a game without further axes only.

        With all pairs tested at once, at the level of 5 % (Bonferroni).
        """
        if self.shares.ndim != 1:
            raise ValueError(f"pairs are named for one game at a time; this one has the axes {self.shares.shape[1:]}")
        first, second = np.triu_indices(len(self.shares), 1)
        size, error = np.abs(self.interactions[first, second]), self.interactions_error[first, second]
        critical = norm.isf(LEVEL / (2 * max(len(size), 1)))
        found = [i for i in np.argsort(-size, kind="stable") if size[i] > critical * error[i]]
        return [(int(first[i]), int(second[i])) for i in found]


def attribute(values: Callable[[Integers], Floats], worlds: int, *, resamples: int = 200, seed: int = 0) -> Attribution:
    """Shares and interactions of the game that `values` gives for a list of worlds, with errors by bootstrap.

    values: from indices of worlds [worlds] (in a resample some are repeated) to v(S) [2^n, ...], all coalitions on
    the same worlds. Every choice the game makes, such as that of the best length, belongs inside, so that it is made
    again in each resample (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6). Where worlds
    that choose are not to value, split by what is in the indices (`worlds % 2 == 0`), so that no world is on both
    sides. resamples: at least 2.
    """
    table = np.asarray(values(np.arange(worlds)), np.float64)
    share, pair = [], []
    for resample in range(resamples):
        drawn = generator(seed, resample, Stream.BOOTSTRAP).integers(worlds, size=worlds)
        again = np.asarray(values(drawn), np.float64)
        share.append(shares(again))
        pair.append(interactions(again))
    return Attribution(
        shares=shares(table),
        shares_error=np.std(share, axis=0, ddof=1),
        interactions=interactions(table),
        interactions_error=np.std(pair, axis=0, ddof=1),
    )
