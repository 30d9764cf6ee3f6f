"""What is not known of a scenario: the terms of its prices that have a prior, and three numbers of its traffic.

A point is a standard normal for each unknown; a column of the design each, terms that go together (a joint posterior)
in one group. Traffic (studies/defaults/unknowns.toml), with z the point's normal:

    overlap      factor f on the experts that neighbouring tokens share; normal in the log, each half its own width
    acceptance   every hazard's logit moves by sd z
    decay        hazard d loses sd z log2(d) logits more
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from montecarlo.estimate import Floats
from montecarlo.keys import Stream, generator
from montecarlo.terms import NAMES, Terms
from studies.prices import EDGE
from studies.scenario import Built

EDGES = (-EDGE, EDGE)  # normals of the 5 % and 95 % quantiles
CLIP = 1e-9  # of the unit cube: no unknown is infinite


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """studies/defaults/unknowns.toml: tables `unknown`, `label`, `measurement`, `improvement`."""
    return tomllib.loads(resources.files("studies").joinpath("defaults/unknowns.toml").read_text("utf-8"))


def label(name: str) -> str:
    """An unknown in words."""
    given = table()
    return str(given["unknown"][name]["label"] if name in given["unknown"] else given["label"][name])


@dataclass(frozen=True)
class Unknowns:
    """groups: the unknowns of each, by name; columns in this order. built: the scenario they are of."""

    groups: tuple[tuple[str, ...], ...]
    built: Built

    @classmethod
    def of(cls, built: Built) -> "Unknowns":
        """Those of a scenario: terms first; overlap only where routing is not of independent tokens or dense."""
        terms = built.priors.groups() if built.priors else []
        traffic = [name for name in table()["unknown"] if name != "overlap" or built.experts]
        return cls((*terms, *((name,) for name in traffic)), built)

    @property
    def columns(self) -> list[str]:
        """The unknown of every column."""
        return [name for group in self.groups for name in group]

    @property
    def numbers(self) -> list[int]:
        """The group of every column."""
        return [number for number, group in enumerate(self.groups) for _ in group]

    def names(self) -> list[str]:
        """A name for each group: its unknowns, joined."""
        return [" + ".join(group) for group in self.groups]

    def drawn(self, seed: int, rows: range) -> Floats:
        """Independent points [rows, columns]: a function of seed and row."""
        return np.stack([generator(seed, row, Stream.UNKNOWN).standard_normal(len(self.columns)) for row in rows])

    def terms(self, points: Floats, axes: int) -> Terms:
        """The terms of prices at `points` [points, columns], with `axes` axes of length 1 behind."""
        assert self.built.priors is not None
        normals = np.zeros((len(points), len(NAMES)))
        for column, name in enumerate(self.columns):
            if name in NAMES:
                normals[:, NAMES.index(name)] = points[:, column]
        return self.built.priors.many(normals, axes)

    def value(self, name: str, points: Floats) -> Floats:
        """The value of one unknown at `points`, in its own unit [points]."""
        if name in NAMES:
            return np.asarray(getattr(self.terms(points, 0), name), np.float64)
        given, normal = table()["unknown"][name], points[:, self.columns.index(name)]
        if "sd" in given:
            return np.asarray(given["sd"] * normal)
        low, middle, high = np.log(given["quantiles"])
        return np.asarray(np.exp(middle + normal / EDGE * np.where(normal > 0, high - middle, middle - low)))

    def hazards(self, points: Floats) -> Floats:
        """Hazards at depths 1 to the deepest [points, depths]."""
        known = np.asarray(self.built.acceptance.hazards)  # type: ignore[union-attr]
        depths = np.arange(1, self.built.deepest + 1)
        base = logit(known[np.minimum(depths, len(known)) - 1])
        lost = self.value("decay", points)[:, None] * np.log2(depths)
        return np.asarray(expit(base + self.value("acceptance", points)[:, None] - lost))


def normals(cube: Floats, share: float = 1.0) -> Floats:
    """Points of the unit cube as standard normals; with `share` the cube is that central share of each prior."""
    return np.asarray(norm.ppf(np.clip(0.5 + share * (cube - 0.5), CLIP, 1 - CLIP)))
