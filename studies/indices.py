"""Designs for sensitivity, from SALib (Herman and Usher, JOSS 2(9), 2017): points of the unit cube, in groups.

A column is a quantile of an unknown's prior; unknowns with a joint posterior form one group, whose columns a study
maps to one joint draw. The figures at these points go to montecarlo/sobol.py and montecarlo/morris.py, which take out
the noise of inner worlds; SALib's own analysis counts it as sensitivity.
"""

from collections.abc import Sequence

import numpy as np

from montecarlo.estimate import Floats

LEVELS = 4  # of the grid of a trajectory; a step moves 2/3 of the range (Morris, Technometrics 33, 1991)


def _problem(groups: Sequence[int]) -> dict[str, object]:
    names = [f"u{column}" for column in range(len(groups))]
    bounds = [[0.0, 1.0]] * len(groups)
    return {"num_vars": len(groups), "names": names, "groups": [f"g{group}" for group in groups], "bounds": bounds}


def _numbered(groups: Sequence[int]) -> int:
    """Number of groups; ValueError unless they first appear in the order 0, 1, 2, ..., which is the order of SALib."""
    seen = list(dict.fromkeys(groups))
    if seen != list(range(len(seen))) or not seen:
        raise ValueError(f"groups first appear in the order {seen}; number them 0, 1, 2, ... as they come")
    return len(seen)


def saltelli(groups: Sequence[int], rows: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """(A [rows, unknowns], B [rows, unknowns], AB [groups, rows, unknowns]) of a scrambled Sobol sequence.

    groups [unknowns]: the number of each one's group. AB[i] is A with the unknowns of group i from B. rows: a
    power of two, or the sequence loses its balance.
    """
    from SALib.sample import sobol

    count = _numbered(groups)
    if count < 2:
        raise ValueError("one group holds all of the variance; give at least 2")  # and SALib would take it apart
    points = sobol.sample(_problem(groups), rows, calc_second_order=False, seed=seed)
    blocks = np.moveaxis(points.reshape(rows, count + 2, len(groups)), 0, 1)
    return blocks[0], blocks[-1], blocks[1:-1]


def trajectories(groups: Sequence[int], count: int, seed: int) -> Floats:
    """Trajectories [count, groups + 1, unknowns] that change one group a step, in random order and direction."""
    from SALib.sample import morris

    steps = _numbered(groups)
    points = morris.sample(_problem(groups), count, num_levels=LEVELS, seed=seed)
    return np.asarray(points.reshape(count, steps + 1, len(groups)))
