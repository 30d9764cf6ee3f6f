"""Shapley values and interactions against their axioms and all orders; a bootstrap that repeats the choice."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import shapley
from tests.statistics import mean_and_error, refused, within


def _by_orders(values: np.ndarray) -> np.ndarray:
    """Mean over all orders of what a player adds when it is its turn: the definition."""
    count = int(np.log2(len(values)))
    found = np.zeros((count, *values.shape[1:]))
    orders = list(permutations(range(count)))
    for order in orders:
        inside = 0
        for player in order:
            found[player] += values[inside | 1 << player] - values[inside]
            inside |= 1 << player
    return found / len(orders)


def _pair_by_orders(values: np.ndarray, first: int, second: int) -> float:
    """Mean over all orders of the others and the pair as one of v(+both) - v(+first) - v(+second) + v."""
    count = int(np.log2(len(values)))
    turns = [player for player in range(count) if player not in (first, second)] + [-1]
    found = []
    for order in permutations(turns):
        before = sum(1 << player for player in order[: order.index(-1)])
        i, j = 1 << first, 1 << second
        found.append(values[before | i | j] - values[before | i] - values[before | j] + values[before])
    return float(np.mean(found))


def _table(count: int, game: object) -> np.ndarray:
    return np.array([game({i for i in range(count) if index >> i & 1}) for index in range(2**count)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_equals_the_mean_over_all_orders_and_sums_to_what_all_add(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).standard_normal((2**count, 2, 3))
    found = shapley.shares(values)
    np.testing.assert_allclose(found, _by_orders(values), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), values[-1] - values[0], atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_interactions_equal_their_mean_over_all_orders(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).standard_normal(2**count)
    found = shapley.interactions(values)
    expected = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            expected[i, j] = _pair_by_orders(values, i, j) if i != j else 0.0
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_additive_game_is_returned_and_nothing_interacts() -> None:
    worth = np.random.default_rng(0).standard_normal(10)
    values = 3.0 + _table(10, lambda inside: sum(worth[i] for i in inside))
    np.testing.assert_allclose(shapley.shares(values), worth, atol=1e-12)
    np.testing.assert_allclose(shapley.interactions(values), 0.0, atol=1e-12)


def test_a_dummy_gets_nothing_and_symmetric_players_get_the_same() -> None:
    values = _table(4, lambda inside: len(inside & {0, 2}) ** 2 + 0.5 * (3 in inside))
    found = shapley.shares(values)
    np.testing.assert_allclose(found, [2.0, 0.0, 2.0, 0.5], atol=1e-12)
    np.testing.assert_allclose(shapley.interactions(values)[0, 2], 2.0, atol=1e-12)


def test_a_product_is_split_evenly() -> None:
    """v = 1 for all together, else 0: each gets 1/n; a pair interacts by 1/(n-1)."""
    values = _table(5, lambda inside: float(len(inside) == 5))
    np.testing.assert_allclose(shapley.shares(values), 0.2, atol=1e-12)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(shapley.interactions(values)[off], 0.25, atol=1e-12)


def test_the_table_is_kept_as_it_was() -> None:
    values = np.random.default_rng(1).standard_normal((8, 3))
    kept = values.copy()
    shapley.interactions(values)
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("coalitions", [0, 1, 6, 1000])
def test_a_table_that_is_no_game_is_refused(coalitions: int) -> None:
    with pytest.raises(ValueError, match=f"not {coalitions}"):
        shapley.shares(np.zeros(coalitions))


WORLDS = 96


def _seconds(rng: np.random.Generator, worlds: int) -> np.ndarray:
    """Drafted seconds [4 coalitions, worlds, 3 lengths]: player 0 favours the second, player 1 slows the third."""
    logs = np.zeros((4, 1, 3))
    logs[1::2, :, 1] -= 0.3
    logs[2:, :, 2] += 0.2
    logs[3, :, 1] -= 0.1  # and the two together
    return np.exp(logs + 0.3 * rng.standard_normal((1, worlds, 3)) + 0.1 * rng.standard_normal((4, worlds, 3)))


def _best(drafted: np.ndarray, worlds: np.ndarray) -> np.ndarray:
    """-log seconds of the best length [4], chosen on one half of the worlds and valued on the other, both ways."""
    even = worlds % 2 == 0
    found = []
    for choosing, valuing in ((worlds[even], worlds[~even]), (worlds[~even], worlds[even])):
        choice = np.argmin(drafted[:, choosing].mean(axis=1), axis=1)
        found.append(-np.log(drafted[np.arange(4)[:, None], valuing, choice[:, None]].mean(axis=1)))
    return np.mean(found, axis=0)


def _held(drafted: np.ndarray, choice: np.ndarray, worlds: np.ndarray) -> np.ndarray:
    """-log seconds [4] of a length that each coalition is given."""
    return -np.log(drafted[np.arange(4)[:, None], worlds, choice[:, None]].mean(axis=1))


def _stated(values: object, experiments: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Mean over experiments of the stated error of each share, and its standard error."""
    rng = np.random.default_rng(8)
    drafted = [_seconds(rng, WORLDS) for _ in range(experiments)]
    return mean_and_error(
        np.array([shapley.attribute(lambda w, d=d: values(d, w), WORLDS, resamples=60).shares_error for d in drafted])
    )


def _spread(values: object, experiments: int = 1000) -> np.ndarray:
    """Standard deviation of each share between experiments."""
    rng, every = np.random.default_rng(2), np.arange(WORLDS)
    games = np.array([values(_seconds(rng, WORLDS), every) for _ in range(experiments)])
    return shapley.shares(games.T).std(axis=1, ddof=1)


def test_the_bootstrap_error_is_the_spread_between_experiments() -> None:
    def at_length(drafted: np.ndarray, worlds: np.ndarray) -> np.ndarray:
        return _held(drafted, np.array([0, 1, 2, 1]), worlds)

    (stated, error), spread = _stated(at_length), _spread(at_length)
    for found, expected, own in zip(stated, spread, error, strict=True):
        off = float(np.hypot(own, expected / np.sqrt(2000)))
        within(float(found), float(expected), off, largest=0.04 * expected)
        refused(within, 1.25 * float(found), float(expected), off, largest=0.04 * expected)


def test_with_the_choice_repeated_the_error_is_enough_and_with_the_choice_held_it_is_not() -> None:
    """Near ties the choice jumps between resamples a little more than between experiments: never too small."""
    spread = _spread(_best)
    repeated, _ = _stated(_best)
    held, _ = _stated(lambda drafted, worlds: _held(drafted, drafted.mean(axis=1).argmin(axis=1), worlds))
    assert np.all((0.95 * spread < repeated) & (repeated < 1.4 * spread))
    assert np.all(held < 0.9 * spread)


def test_the_interactions_that_matter_are_named_and_no_others() -> None:
    rng, worlds = np.random.default_rng(3), 200
    noise = 0.02 * rng.standard_normal((8, worlds))
    base = _table(3, lambda inside: 0.5 * len(inside) - 0.4 * ({0, 2} <= inside))
    found = shapley.attribute(lambda drawn: base + noise[:, drawn].mean(axis=1), worlds, resamples=50)
    assert found.notable() == [(0, 2)]
    within(found.interactions[0, 2], -0.4, float(found.interactions_error[0, 2]), largest=0.01)
    within(found.shares[1], 0.5, float(found.shares_error[1]), largest=0.01)
    several = shapley.attribute(lambda drawn: np.stack([base, base], axis=1), worlds, resamples=2)
    with pytest.raises(ValueError, match="one game at a time"):
        several.notable()


def test_the_same_seed_gives_the_same_errors_and_another_seed_others() -> None:
    values = np.random.default_rng(4).standard_normal((4, 50))
    found = [
        shapley.attribute(lambda drawn: values[:, drawn].mean(axis=1), 50, resamples=20, seed=seed).shares_error
        for seed in (7, 7, 8)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.all(found[0] != found[2])
