"""Priors of the terms of achieved prices: the shipped ones, or those and a user's file on top.

A file gives a term as a value or as quantiles, and terms that go together as one joint normal; a `where` holds for
some hardware and formats of experts alone. What is not given is as shipped. docs/prices.md has an example.

    x = median + z (95 % - 50 % if z > 0, else 50 % - 5 %) / 1.645,    z standard normal
    x = median + L z,   L L' = covariance                              (joint)

with x the log of times and seconds, the logit of shares and parts. `draw` is a function of (seed, world) alone: term
i of world w has the i-th normal of its stream, whatever file there is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit, logit
from scipy.stats import norm

from montecarlo.errors import InputError
from montecarlo.hardware import BYTES
from montecarlo.keys import Stream, generator
from montecarlo.terms import NAMES, PARTS, SHARES, Terms, wrong
from studies import catalog
from traces import toml

EDGE = float(norm.ppf(0.95))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    unit: str = ""
    source: str = ""
    why: str = ""


class Term(_Strict):
    """One term: a `value`, or its 5 %, 50 % and 95 % `quantiles`."""

    value: float | None = None
    quantiles: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None


class Joint(_Strict):
    """Terms that go together: their medians, and the covariance of their logs (times, seconds) or logits."""

    terms: Annotated[list[str], Field(min_length=1)]
    median: list[float]
    covariance: list[list[float]]


class Section(BaseModel):
    """Terms, one by one or together; a joint overrides the terms beside it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    largest_captured: Annotated[int, Field(strict=True, ge=0)] | None = None
    terms: dict[str, Term] = {}
    joint: Joint | None = None


class Where(Section):
    """What holds for `hardware` (catalogue ids) and `experts` (number formats) alone; None: all."""

    hardware: list[str] | None = None
    experts: list[str] | None = None

    def holds(self, hardware: str, experts: str | None) -> bool:
        """Whether it holds on a device for a target of such experts (None: dense)."""
        return (self.hardware is None or hardware in self.hardware) and (
            self.experts is None or experts in self.experts
        )


class File(Section):
    """A prices file: what holds everywhere, then what holds somewhere; later sections override earlier ones.

    target, hardware: what it was calibrated on, by id; None where that is not known.
    """

    title: str = ""
    target: str | None = None
    hardware: str | None = None
    where: list[Where] = []

    def foreign(self, target: str, hardware: str) -> str:
        """What it was calibrated on, where that is another target or device; else empty."""
        mine = [(self.target, target), (self.hardware, hardware)]
        if all(fitted in (None, asked) for fitted, asked in mine):
            return ""
        return " on ".join(str(fitted) for fitted, _ in mine if fitted is not None)

    def toml(self) -> str:
        """The file as text that `read` takes back."""
        return tomlkit.dumps(self.model_dump(exclude_defaults=True))


@dataclass(frozen=True)
class Priors:
    """The sections that hold for one scenario, in order."""

    sections: tuple[Section, ...]

    def median(self) -> Terms:
        """Every term at its median, for studies that draw nothing."""
        return self.at(np.zeros(len(NAMES)))

    def draw(self, seed: int, world: int) -> Terms:
        """The terms of a world."""
        return self.at(generator(seed, world, Stream.PRICES).standard_normal(len(NAMES)))

    def along(self, name: str, normal: float) -> float:
        """The term `name` at so many standard deviations of its own law from its median, whatever the others are."""
        found = float(getattr(self.median(), name))
        for section in self.sections:
            if name in section.terms:
                found = float(_value(name, section.terms[name], normal))
            if section.joint is not None and name in section.joint.terms:
                i = section.joint.terms.index(name)
                spread = float(np.sqrt(section.joint.covariance[i][i]))
                found = float(unlink(name, link(name, section.joint.median[i]) + normal * spread))
        return found

    def many(self, normals: np.ndarray, axes: int) -> Terms:
        """The terms at many points: `normals` [points, terms] in the order of NAMES, arrays [points, 1, .., 1].

        `axes` axes of length 1 stand behind the points, as in Terms.stack.
        """
        shape = (len(normals), *(1,) * axes)
        found: dict[str, Any] = {
            name: np.broadcast_to(value, len(normals)).reshape(shape) for name, value in self.values(normals)
        }
        return replace(self.median(), **found)

    def values(self, normals: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Each term and its value [...] at `normals` [..., terms]; a term given twice comes twice, the last holds."""
        for section in self.sections:
            for name, term in section.terms.items():
                yield name, _value(name, term, normals[..., NAMES.index(name)])
            if section.joint is not None:
                yield from _together(section.joint, normals)

    def groups(self) -> list[tuple[str, ...]]:
        """The terms that are not known, those that go together as one group, in the order of NAMES."""
        rests: dict[str, tuple[str, ...]] = {}  # a term: those whose normals its value rests on
        for section in self.sections:
            rests |= {name: (name,) if term.quantiles else () for name, term in section.terms.items()}
            if section.joint is not None:
                rests |= dict.fromkeys(section.joint.terms, tuple(section.joint.terms))
        found: list[set[str]] = []
        for names in rests.values():
            merged = set(names).union(*(group for group in found if group & set(names)))
            found = [group for group in found if not group & merged] + [merged] * bool(merged)
        ordered = [tuple(sorted(group, key=NAMES.index)) for group in found]
        return sorted(ordered, key=lambda group: NAMES.index(group[0]))

    def at(self, normals: np.ndarray) -> Terms:
        """The terms where their standard normals, in the order of NAMES, are `normals`."""
        given = [section.largest_captured for section in self.sections if section.largest_captured is not None]
        found = {name: float(value) for name, value in self.values(normals)}
        return Terms.of(**found, largest_captured=given[-1] if given else None)


def link(name: str, value: Any) -> Any:
    """`value` on the scale it is normal on."""
    return logit(value) if name in SHARES + PARTS else np.log(value)


def unlink(name: str, value: Any) -> Any:
    """The value of a term from the scale it is normal on."""
    return expit(value) if name in SHARES + PARTS else np.exp(value)


def _value(name: str, term: Term, normal: Any) -> Any:
    if term.quantiles is None:
        return term.value
    low, middle, high = link(name, np.asarray(term.quantiles))
    return unlink(name, middle + normal / EDGE * np.where(normal > 0, high - middle, middle - low))


def _together(joint: Joint, normals: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Each term of a joint; a world's own sum, in a fixed order, whatever stands beside it."""
    root = np.linalg.cholesky(np.asarray(joint.covariance))
    own = [normals[..., NAMES.index(name)] for name in joint.terms]
    for name, median, row in zip(joint.terms, joint.median, root, strict=True):
        moved = sum(float(weight) * normal for weight, normal in zip(row, own, strict=True))
        yield name, unlink(name, link(name, median) + moved)


def load(given: str, hardware: str, experts: str | None) -> Priors:
    """The priors `achieved`, or those with the file `given` on top, on a device (id) for experts of a format."""
    files = [shipped()]
    if given.endswith(".toml"):
        files.append(read(Path(given)))
    elif given != "achieved":
        raise catalog.refuse("prices", given, ["achieved", "ideal", "post", "a path to a .toml file"])
    sections = [
        one
        for file in files
        for one in (file, *file.where)
        if not isinstance(one, Where) or one.holds(hardware, experts)
    ]
    return Priors(tuple(sections))


def shipped() -> File:
    """The priors of the package."""
    text = resources.files(__name__).joinpath("achieved.toml").read_text("utf-8")
    return File.model_validate(tomlkit.parse(text).unwrap())


def read(path: Path) -> File:
    """The file at `path`; raises InputError, with all its faults in one line."""
    content = toml.read(path, "prices")
    try:
        file = File.model_validate(content)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise InputError(f"prices {path}: {'; '.join(said)}") from error
    if faults := [fault for place, section in _sections(file) for fault in _faults(place, section)]:
        raise InputError(f"prices {path}: {'; '.join(faults)}")
    if not any(
        section.terms or section.joint or section.largest_captured is not None for _, section in _sections(file)
    ):
        raise InputError(
            f"prices {path} gives no terms; write [terms.NAME] with quantiles or value, as in docs/prices.md"
        )
    return file


def _sections(file: File) -> Iterator[tuple[str, Section]]:
    yield "", file
    for number, where in enumerate(file.where):
        yield f"where.{number}.", where


def _faults(place: str, section: Section) -> Iterator[str]:
    """What is wrong in a section, each with its place."""
    for name in [*section.terms, *(section.joint.terms if section.joint else [])]:
        if name not in NAMES:
            yield f"{place}{name} is no term; allowed: {', '.join(NAMES)}"
    for name, term in section.terms.items():
        if name in NAMES:
            yield from (f"{place}{fault}" for fault in _term_faults(name, term))
    if section.joint is not None:
        yield from (f"{place}joint: {fault}" for fault in _joint_faults(section.joint))
    if isinstance(section, Where):
        known = {"hardware": sorted(catalog.table("hardware")), "experts": sorted(BYTES)}
        for key, allowed in known.items():
            for given in getattr(section, key) or []:
                if given not in allowed:
                    yield f"{place}{key} is {given!r}; allowed: {', '.join(allowed)}"


def _inside(name: str) -> str:
    return "above 0 and below 1" if name in SHARES + PARTS else "above 0"


def _term_faults(name: str, term: Term) -> Iterator[str]:
    if (term.value is None) == (term.quantiles is None):
        yield f"{name} needs either a value or quantiles = [5 %, 50 %, 95 %]"
    if term.value is not None and (fault := wrong(name, term.value)):
        yield fault
    if term.quantiles is not None:
        low, middle, high = term.quantiles
        if not (low <= middle <= high and low > 0 and (high < 1 or name not in SHARES + PARTS)):
            yield f"{name} has quantiles {term.quantiles}; they must rise, {_inside(name)}"


def _joint_faults(joint: Joint) -> Iterator[str]:
    count = len(joint.terms)
    if len(set(joint.terms)) < count:
        yield "it names a term twice"
    if len(joint.median) != count or [len(row) for row in joint.covariance] != [count] * count:
        yield f"{count} terms need {count} medians and a covariance of {count} x {count}"
        return
    for name, median in zip(joint.terms, joint.median, strict=True):
        if name in NAMES and not (median > 0 and (median < 1 or name not in SHARES + PARTS)):
            yield f"the median of {name} is {median}; it must be {_inside(name)}"
    matrix = np.asarray(joint.covariance)
    if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
        yield "the covariance must be symmetric and positive definite"
