"""Unions of bitsets against a slow loop over sets."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import coverage


@cache
def _experts(experts: int, top_k: int, positions: int, requests: int, layers: int) -> np.ndarray:
    """Distinct ids [positions, top_k, requests, layers], uniform."""
    rng = np.random.default_rng((experts, top_k, positions, requests, layers))
    order = np.argsort(rng.random((positions, requests, layers, experts)), axis=-1)[..., :top_k]
    return np.moveaxis(order, -1, 1).astype(np.int32)


@partial(jax.jit, static_argnames=("count", "batches"))
def _jitted(experts: jax.Array, count: int, batches: tuple[int, ...]) -> jax.Array:
    return coverage.count(experts, partial(coverage.bitsets, count=count), batches=batches)


def _counted(experts: np.ndarray, count: int, batches: tuple[int, ...]) -> np.ndarray:
    return np.asarray(_jitted(jnp.asarray(experts), count, batches))


def _slow(experts: np.ndarray, batches: tuple[int, ...]) -> np.ndarray:
    """Distinct ids of every group's window, one np.unique each."""
    positions, _, requests, layers = experts.shape
    columns = []
    for batch in batches:
        for group in range(requests // batch):
            members = slice(group * batch, (group + 1) * batch)
            columns.append(
                [
                    [sum(np.unique(experts[: depth + 1, :, members, layer]) >= 0) for layer in range(layers)]
                    for depth in range(positions)
                ]
            )
    return np.asarray(columns).swapaxes(0, 1)


@pytest.mark.parametrize(
    ("experts", "top_k", "requests", "batches"),
    [
        (8, 2, 7, (1, 2, 7)),
        (32, 4, 48, (1, 3, 10, 48)),
        (128, 8, 21, (2, 4, 5)),
        (256, 1, 13, (1, 2, 4, 8)),
        (300, 6, 12, (3, 6, 12)),
    ],
)
def test_counts_equal_a_slow_loop(experts: int, top_k: int, requests: int, batches: tuple[int, ...]) -> None:
    ids = _experts(experts, top_k, 4, requests, 2)
    found = _counted(ids, experts, batches)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, _slow(ids, batches))


def test_growing_the_batch_grid_changes_no_shared_count() -> None:
    """Whatever other batches a batch is formed beside (and out of), its groups hold the same requests."""
    ids, grids = _experts(128, 4, 3, 48, 2), [(48,), (1, 6, 48), (1, 2, 3, 4, 6, 12, 24, 48), (5, 6, 7, 48)]
    found: dict[int, np.ndarray] = {}
    for grid in grids:
        counted = _counted(ids, 128, grid)
        for batch, groups in zip(grid, coverage.group_slices(48, grid), strict=True):
            assert groups.stop - groups.start == 48 // batch
            np.testing.assert_array_equal(counted[:, groups], found.setdefault(batch, counted[:, groups]))


def test_more_positions_and_requests_change_no_earlier_count() -> None:
    ids = _experts(64, 4, 6, 30, 2)
    whole = _counted(ids, 64, (1, 5))
    np.testing.assert_array_equal(_counted(ids[:2], 64, (1, 5)), whole[:2])
    fewer = _counted(ids[:, :, :20], 64, (1, 5))
    np.testing.assert_array_equal(fewer[:, :20], whole[:, :20])
    np.testing.assert_array_equal(fewer[:, 20:], whole[:, 30:34])


@pytest.mark.parametrize("experts", [31, 32, 33, 64])
def test_missing_ids_are_ignored_and_the_last_id_is_counted(experts: int) -> None:
    ids = np.full((3, 2, 2, 1), -1, np.int32)
    ids[1, 0, 0] = experts - 1
    ids[2, 1, 0] = 0
    np.testing.assert_array_equal(_counted(ids, experts, (1, 2))[..., 0], [[0, 0, 0], [1, 0, 1], [2, 0, 2]])


@given(st.integers(0, 2**32 - 1), st.sampled_from([(8, 2), (40, 6), (300, 3)]))
def test_counts_grow_with_depth_and_batch_and_stay_in_range(seed: int, shape: tuple[int, int]) -> None:
    experts, top_k = shape
    rng = np.random.default_rng(seed)
    skewed = rng.random(experts) ** -1.0  # popular experts, so that unions saturate
    keyed = rng.random((5, 12, 3, experts)) * skewed
    ids = np.moveaxis(np.argsort(-keyed, axis=-1)[..., :top_k], -1, 1).astype(np.int32)
    found = _counted(ids, experts, (1, 2, 6)).astype(int)
    single, pair, six = (found[:, part] for part in coverage.group_slices(12, (1, 2, 6)))
    assert np.all(np.diff(found, axis=0) >= 0)
    assert np.all(single[0] == top_k)
    assert found.max() <= experts
    for smaller, larger, parts in ((single, pair, 2), (pair, six, 3)):
        members = np.stack([smaller[:, i::parts] for i in range(parts)])
        assert np.all(larger >= members.max(axis=0))
        assert np.all(larger <= members.sum(axis=0))


def test_a_group_needs_all_its_requests() -> None:
    """13 requests make two groups of five; the last three are in none."""
    assert coverage.groups(13, (1, 5, 13)) == [13, 2, 1]
    ids = _experts(32, 4, 2, 13, 1)
    changed = ids.copy()
    changed[:, :, 10:] = 0
    np.testing.assert_array_equal(_counted(ids, 32, (5,)), _counted(changed, 32, (5,)))
