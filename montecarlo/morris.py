"""Screening: how far each unknown alone moves a figure, from few evaluations, where inner noise moves it too.

Trajectories through the unit cube change one group of unknowns a step (Morris, Technometrics 33, 1991). With y and z
the figure from two independent halves of the inner worlds, the effect of a step is its change over the distance
moved in each half, e_y and e_z, and (mu* after Campolongo, Cariboni and Saltelli, Env. Modelling & Software 22, 2007)

    mu*   = mean of |e|,  here  [sign(e_y) e_z + sign(e_z) e_y] / 2    (|e_y| alone would be > 0 under pure noise)
    sigma = sd of e,      here  sqrt cov(e_y, e_z)

The sign comes from one half and the size from the other, so noise can only make mu* smaller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.estimate import Floats, mean


@dataclass(frozen=True)
class Effects:
    """strength (mu*) with its standard error, and spread (sigma: not linear, or interacting), [groups, ...] each.

    In units of the figure over the whole range of the group; the spread of a group of several unknowns, which may
    move against one another, is NaN.
    """

    strength: Floats
    strength_error: Floats
    spread: Floats


def effects(design: Floats, groups: ArrayLike, values: Floats) -> Effects:
    """Effects from `values` [2 halves, trajectories, steps + 1, ...] at `design` [trajectories, steps + 1, unknowns].

    groups [unknowns]: the number of each one's group, from 0; every trajectory changes each group once.
    """
    numbers, change = np.asarray(groups, np.int64), np.diff(np.asarray(values, np.float64), axis=2)
    count, moved = numbers.max() + 1, np.diff(design, axis=1)  # [trajectories, steps, unknowns]
    first = np.array([np.argmax(numbers == group) for group in range(count)])  # its move stands for its group's
    steps = np.abs(moved[..., first]) > 0  # [trajectories, steps, groups]
    if not (np.all(steps.sum(axis=1) == 1) and np.all(steps.sum(axis=2) == 1)):
        raise ValueError("every step of a trajectory changes one group, and every trajectory each group once")
    when = np.argmax(steps, axis=1)  # [trajectories, groups]
    rows = np.arange(len(design))[:, None]
    distance = moved[rows, when, first]
    effect = change[:, rows, when] / distance.reshape(*distance.shape, *[1] * (change.ndim - 3))
    y, z = effect  # [trajectories, groups, ...]
    size = (np.sign(y) * z + np.sign(z) * y) / 2
    products = mean((y - mean(y)) * (z - mean(z))) * len(y) / (len(y) - 1)
    single = np.bincount(numbers) == 1
    spread = np.sqrt(np.maximum(products, 0.0))
    return Effects(
        strength=mean(size),
        strength_error=size.std(axis=0, ddof=1) / np.sqrt(len(size)),
        spread=np.where(single.reshape(-1, *[1] * (spread.ndim - 1)), spread, np.nan),
    )
