"""Worlds of a run, made again from the blocks in its folder, and the paired error of a difference.

Worlds of the same seed and number draw the same texts and terms of the engine, whatever else the runs differ in, so
what they share cancels in the difference of two speedups (common random numbers; montecarlo/estimate.py).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from montecarlo import estimate
from montecarlo.errors import InputError
from montecarlo.roofline import Floats
from studies import optimal_k, runner
from studies.cells import Cells
from studies.runs import Run
from studies.scenario import Built
from studies.tasks import prepared


@dataclass(frozen=True)
class Cell:
    """A batch and context at one draft length, as `Cells` has them.

    undrafted, drafted, emitted [worlds]; resampled: the first two [replicates, worlds], None without a trace.
    """

    undrafted: Floats
    drafted: Floats
    emitted: Floats
    resampled: tuple[Floats, Floats] | None

    @property
    def by_world(self) -> Floats:
        """Speedup of each world [worlds]."""
        return np.asarray(self.undrafted / self.drafted)


@dataclass(frozen=True)
class Worlds:
    """What the worlds of one scenario of a run say."""

    built: Built
    cells: Cells

    def at(self, batch: int, context: int, length: int) -> Cell:
        """One cell; it must have been studied."""
        b, c = self.built.batches.index(batch), self.built.contexts.index(context)
        k, again = self.built.lengths.index(length), self.cells.resampled
        return Cell(
            self.cells.undrafted[:, b, c],
            self.cells.drafted[:, b, c, k],
            self.cells.emitted[:, b],
            None if again is None else (again[0][:, :, b, c], again[1][:, :, b, c, k]),
        )


def remade(run: Run, index: int) -> Worlds:
    """The worlds of scenario `index` of a run of optimal-k; raises InputError where its blocks do not hold them."""
    other = InputError(f"{runner.BLOCKS} of {run.folder} do not make its results again (other files or versions)")
    grid = run.results["results"].filter(scenario=run.asked.scenario[index].name)
    if grid.is_empty():
        raise other
    worlds, plain = int(grid["worlds"][0]), run.asked.model_dump_json()
    built = prepared(plain, index)
    done = {}
    for task in optimal_k.tasks(run.asked, worlds):
        if task.name.startswith(f"scenario{index}-"):
            name = f"{runner.BLOCKS}/{task.name}.npz"
            kept = runner.load(run.folder / name)
            if kept is None:
                raise InputError(f"{name} of {run.folder} is missing or damaged")
            done[task.name] = kept
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numbers of another run are found out below
            cells = optimal_k.simulated(run.asked, index, worlds, done)
    except (KeyError, IndexError, ValueError) as error:
        raise other from error
    value, _ = estimate.speedup(np.ones(1), cells.undrafted[..., None], cells.drafted)
    places = [(b, c, k) for b in built.batches for c in built.contexts for k in built.lengths]
    known = grid["speedup"].is_not_null().to_numpy()
    if grid.select("batch", "context_tokens", "draft_length").rows() != places or not np.allclose(
        value.ravel()[known], grid["speedup"].filter(pl.Series(known)).to_numpy(), rtol=1e-9, atol=0
    ):
        raise other
    return Worlds(built, cells)


def apart(first: Run, second: Run) -> str:
    """Why worlds of the two runs are not the same draws; empty where they are."""
    for what, one, other in (
        ("seeds", first.asked.seed, second.asked.seed),
        ("world_requests", first.asked.world_requests, second.asked.world_requests),
        ("versions", first.results.meta.get("versions"), second.results.meta.get("versions")),
    ):
        if one != other:
            return f"their {what} differ" + ("" if what == "versions" else f" ({one} and {other})")
    return ""


def errors(first: Cell, second: Cell, common: int, same_trace: bool) -> dict[str, Any]:
    """Of the second's speedup less the first's, and of their tokens per second's ratios; columns: compare_columns.

    common: worlds, from the first on, that are the same draws in both.
    """
    better = second.by_world[:common] > first.by_world[:common]
    found = {
        "speedup_difference_se": float(estimate.difference_error(_shift(second), _shift(first), common)),
        "speedup_difference_trace_se": _trace_error(first, second, same_trace and common > 0),
        "p_better": float(np.mean(better)) if common else None,
    }
    for name, spent in (("device_ratio", "drafted"), ("undrafted_ratio", "undrafted")):
        one, other = ((cell.emitted, getattr(cell, spent)) for cell in (first, second))
        error = estimate.difference_error(estimate.deviation(*other), estimate.deviation(*one), common)
        found[f"{name}_se"] = float(_ratio(*other) / _ratio(*one) * error)
    return found


def _shift(cell: Cell) -> Floats:
    """What each world adds to the speedup [worlds]."""
    return estimate.deviation(cell.undrafted, cell.drafted) * _ratio(cell.undrafted, cell.drafted)


def _ratio(numerator: Floats, denominator: Floats) -> float:
    return float(estimate.mean(numerator) / estimate.mean(denominator))


def _trace_error(first: Cell, second: Cell, paired: bool) -> float | None:
    """Standard deviation of the difference between traces resampled by request, the same resamples where paired."""
    traced = [cell for cell in (first, second) if cell.resampled is not None]
    if len(traced) == 2 and paired:
        values, inner = [], []
        for pairs in zip(*first.resampled, *second.resampled, strict=True):  # type: ignore[misc]
            one, other = (Cell(u, d, u, None) for u, d in (pairs[:2], pairs[2:]))
            values.append(_ratio(other.undrafted, other.drafted) - _ratio(one.undrafted, one.drafted))
            inner.append(estimate.difference_error(_shift(other), _shift(one), len(one.drafted)))
        return float(estimate.between_replicates(np.asarray(values), np.asarray(inner)))
    alone = []
    for cell in traced:
        assert cell.resampled is not None
        found = [estimate.speedup(np.ones(()), *pair) for pair in zip(*cell.resampled, strict=True)]
        value, error = (np.asarray(part) for part in zip(*found, strict=True))
        alone.append(float(estimate.between_replicates(value, error)))
    return float(np.hypot.reduce(alone)) if alone else None
