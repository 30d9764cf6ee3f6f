"""Which unknown moves the answer: screening, shares of variance, the tornado, and where drafting breaks even."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from montecarlo import morris, sobol
from montecarlo.estimate import Floats
from montecarlo.terms import NAMES
from studies import prices
from studies.draws import SCREENED, Draws
from studies.indices import saltelli, trajectories
from studies.response import Halves
from studies.unknowns import EDGES, label, normals, table

Rows = Iterator[dict[str, Any]]

TRAJECTORIES = 40
CENTRAL = 0.9  # of each prior, over which the screening moves
STEP = 0.05  # of a normal, for the direction of a group
CONTOUR = np.linspace(-2.4, 2.4, 25)  # normals
BEYOND = 3.0  # standard errors of a variance below which there is nothing to share


def unknowns(draws: Draws) -> Rows:
    """Every unknown with its 5 %, 50 % and 95 % quantiles over the draws' law."""
    known = draws.unknowns
    shipped = prices.shipped().terms
    for group, name in zip(known.groups, known.names(), strict=True):
        for unknown in group:
            alone = np.zeros((3, len(known.columns)))
            if len(group) == 1:
                alone[:, known.columns.index(unknown)] = (*EDGES[:1], 0.0, EDGES[1])
                low, middle, high = known.value(unknown, alone)
            else:  # marginal quantiles of a joint are those of the draws
                low, middle, high = np.quantile(known.value(unknown, draws.points), (0.05, 0.5, 0.95))
            given = table()["unknown"].get(unknown)
            yield {
                "scenario": draws.name,
                "group": name,
                "unknown": unknown,
                "label": label(unknown),
                "p05": low,
                "p50": middle,
                "p95": high,
                "unit": given["unit"] if given else shipped[unknown].unit if unknown in shipped else "",
            }


def _figures(draws: Draws, halves: Halves) -> Floats:
    """What is taken apart [2, points, figures, batches]: log speedup, P(loss), P(best) of every length."""
    log_speedup = draws.at_shown(halves.log_rate) - halves.log_rate[..., 0]
    return np.concatenate(
        [np.stack([log_speedup, draws.at_shown(halves.lost)], axis=2), np.moveaxis(halves.best, -1, 2)], axis=2
    )


def indices(draws: Draws, rows: int) -> Rows:
    """First- and total-order shares of the variance of each figure, group by group."""
    groups, ids = draws.unknowns.numbers, np.arange(rows)

    def at(cube: Floats) -> Floats:
        return _figures(draws, draws.response.at(normals(cube), ids, draws.seed))

    base, other, mixed = saltelli(groups, rows, draws.seed)
    found = sobol.indices(at(base), at(other), np.stack([at(one) for one in mixed]))
    shared = found.variance.value > BEYOND * found.variance.error
    named = [("log_speedup", draws.shown), ("p_loss", draws.shown)]
    named += [("is_best", np.full(len(draws.shown), k)) for k in range(len(draws.lengths))]
    for f, (figure, length) in enumerate(named):
        for b, batch in enumerate(draws.response.batches):
            for g, group in enumerate(draws.unknowns.names()):
                both = {
                    f"{order}{suffix}": float(values[g, f, b]) if shared[f, b] else None
                    for order, share in (("first", found.first), ("total", found.total))
                    for suffix, values in (("", share.value), ("_se", share.error))
                }
                yield {
                    "scenario": draws.name,
                    "batch": batch,
                    "draft_length": int(draws.lengths[length[b]]),
                    "figure": figure,
                    "group": group,
                    **both,
                    "variance": found.variance.value[f, b],
                    "variance_se": found.variance.error[f, b],
                }


def screening(draws: Draws) -> Rows:
    """How far each group alone moves the log speedup, over the central 90 % of its prior."""
    groups = draws.unknowns.numbers
    design = trajectories(groups, TRAJECTORIES, draws.seed)
    flat = normals(design.reshape(-1, design.shape[-1]), CENTRAL)
    taken = np.repeat(SCREENED + np.arange(TRAJECTORIES), design.shape[1])  # one set of inner worlds a trajectory
    halves = draws.response.at(flat, taken, draws.seed)
    values = _figures(draws, halves)[:, :, 0].reshape(2, *design.shape[:2], -1)
    found = morris.effects(design, groups, values)
    for b, batch in enumerate(draws.response.batches):
        for g, group in enumerate(draws.unknowns.names()):
            spread = float(found.spread[g, b])
            yield {
                "scenario": draws.name,
                "batch": batch,
                "draft_length": int(draws.lengths[draws.shown[b]]),
                "group": group,
                "strength": found.strength[g, b],
                "strength_se": found.strength_error[g, b],
                "spread": None if np.isnan(spread) else spread,
            }


def directions(draws: Draws) -> Floats:
    """Unit vectors [batches, groups, columns] in which each group moves; one unknown alone: up.

    Several together: where the log speedup at the medians rises most. To first order its 5 % and 95 % lie there.
    """
    columns = len(draws.unknowns.columns)
    steps = STEP * np.eye(columns)
    both = np.log(draws.at_shown(draws.response.speedup(np.concatenate([steps, -steps]))))
    slope = (both[:columns] - both[columns:]).T  # [batches, columns]
    found = np.zeros((len(slope), len(draws.unknowns.groups), columns))
    for column, group in enumerate(draws.unknowns.numbers):
        several = len(draws.unknowns.groups[group]) > 1
        found[:, group, column] = slope[:, column] if several else 1.0
    norm = np.linalg.norm(found, axis=-1, keepdims=True)
    return np.asarray(found / np.where(norm > 0, norm, 1.0))


def tornado(draws: Draws) -> Rows:
    """Speedup with each group at its 5 % and 95 %, the others at their medians."""
    batches, ways = draws.response.batches, directions(draws)
    median = draws.at_shown(draws.response.speedup(np.zeros((1, ways.shape[-1]))))[0]
    ends = []
    for edge in EDGES:
        points = edge * ways.reshape(-1, ways.shape[-1])
        ends.append(draws.response.speedup(points).reshape(*ways.shape[:2], len(batches), -1))
    for b, batch in enumerate(batches):
        for g, group in enumerate(draws.unknowns.names()):
            low, high = (end[b, g, b] for end in ends)
            yield {
                "scenario": draws.name,
                "batch": batch,
                "draft_length": int(draws.lengths[draws.shown[b]]),
                "group": group,
                "speedup_low": low[draws.shown[b]],
                "speedup_high": high[draws.shown[b]],
                "speedup_median": median[b],
                "best_low": int(draws.lengths[np.argmax(low)]),
                "best_high": int(draws.lengths[np.argmax(high)]),
            }


def contours(draws: Draws, shares: dict[int, list[str]]) -> Rows:
    """Speedup over the two groups that matter most at each batch; `shares`: groups by batch, largest share first."""
    names, ways = draws.unknowns.names(), directions(draws)
    grid = np.stack(np.meshgrid(CONTOUR, CONTOUR, indexing="ij"), axis=-1).reshape(-1, 2)
    for b, batch in enumerate(draws.response.batches):
        if len(shares[batch]) < 2:
            continue
        x, y = (names.index(name) for name in shares[batch][:2])
        points = grid[:, :1] * ways[b, x] + grid[:, 1:] * ways[b, y]
        speedup = draws.response.speedup(points)[:, b]
        values = [_value(draws, names[group], points) for group in (x, y)]
        for place, (right, up) in enumerate(grid):
            yield {
                "scenario": draws.name,
                "batch": batch,
                "draft_length": int(draws.lengths[draws.shown[b]]),
                "x": names[x],
                "y": names[y],
                "x_normal": right,
                "y_normal": up,
                "x_value": None if values[0] is None else values[0][place],
                "y_value": None if values[1] is None else values[1][place],
                "speedup": speedup[place, draws.shown[b]],
                "best_draft_length": int(draws.lengths[np.argmax(speedup[place])]),
            }


def _value(draws: Draws, group: str, points: Floats) -> Floats | None:
    return draws.unknowns.value(group, points) if group in NAMES or group in table()["unknown"] else None
