"""Acceptance by depth: the law of a run, the number of drafts accepted in a row.

    survival S(d) = P(run >= d),  hazard h(d) = S(d) / S(d-1),  tokens per step = 1 + S(1) + ... + S(k)

i.i.d. acceptance is h(d) = alpha. Beyond the last known depth the last hazard is kept, and said so.
(Leviathan et al., arXiv 2211.17192, for the geometric law; engines print S(d) as "per-position acceptance".)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError
from montecarlo.keys import unit


def _probabilities(values: ArrayLike, what: str) -> np.ndarray:
    try:
        given = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is {values!r}; it must be a list of probabilities by depth") from error
    if given.ndim != 1 or given.size == 0:
        raise InputError(f"{what} must be a list of at least one probability")
    if not np.all((given >= 0) & (given <= 1)):
        bad = int(np.flatnonzero(~((given >= 0) & (given <= 1)))[0])
        hint = f" (write {given[bad] / 100:g} for {given[bad]:g} %)" if 1 < given[bad] <= 100 else ""
        raise InputError(f"{what} at depth {bad + 1} is {given[bad]:g}; a probability is between 0 and 1{hint}")
    return given


@dataclass(frozen=True)
class Acceptance:
    """hazards [known depths]; `known` is None where the law holds at every depth (i.i.d.).

    runs: where the law differs by draft length (a block drafter's block sizes, a chain's renewal), the others, each
    with the length it was run at; `hazards` is then that of the longest.
    """

    hazards: tuple[float, ...]
    known: int | None
    runs: tuple[tuple[int, "Acceptance"], ...] = ()

    @classmethod
    def iid(cls, alpha: float) -> "Acceptance":
        """Every draft is accepted with probability `alpha`, whatever its depth."""
        return cls(tuple(_probabilities(alpha, "acceptance").tolist()), None)

    @classmethod
    def of(cls, *, survival: ArrayLike | None = None, hazard: ArrayLike | None = None) -> "Acceptance":
        """By depth, from exactly one of `survival` (must not rise) and `hazard`."""
        if (survival is None) == (hazard is None):
            raise InputError("acceptance by depth takes either survival or hazard, and one of them")
        if hazard is not None:
            known = _probabilities(hazard, "hazard")
            return cls(tuple(known.tolist()), known.size)
        steps = _probabilities(np.zeros(0) if survival is None else survival, "survival")
        before = np.concatenate([[1.0], steps[:-1]])
        if np.any(steps > before):
            depth = int(np.flatnonzero(steps > before)[0]) + 1
            raise InputError(
                f"survival rises at depth {depth} ({before[depth - 1]:g} to {steps[depth - 1]:g}); "
                "it is P(run >= depth) and cannot rise. Conditional acceptance is given as {hazard = [...]}"
            )
        hazards = np.divide(steps, before, out=np.zeros_like(steps), where=before > 0)
        return cls(tuple(hazards.tolist()), steps.size)

    @classmethod
    def by_length(cls, survival: Mapping[int, ArrayLike]) -> "Acceptance":
        """From the survival of runs at several draft lengths."""
        laws = tuple((length, cls.of(survival=survival[length])) for length in sorted(survival))
        return replace(laws[-1][1], runs=laws)

    def at(self, draft_length: int) -> "Acceptance":
        """The law of a run at `draft_length`: else the beginning of the next longer run; past the longest, its own."""
        return next((law for length, law in self.runs if length >= draft_length), self)

    def survival(self, depths: int) -> np.ndarray:
        """S(1..depths) [depths], float64."""
        hazards = np.asarray(self.hazards)
        extended = np.concatenate([hazards, np.full(max(0, depths - hazards.size), hazards[-1])])
        return np.cumprod(extended[:depths])

    def tokens_per_step(self, draft_length: ArrayLike) -> np.ndarray:
        """Expected tokens per step and sequence at each draft length, bonus included."""
        lengths = np.asarray(draft_length, np.int64)
        if self.runs:
            each = [1.0 + self.at(int(length)).survival(int(length)).sum() for length in lengths.ravel()]
            return np.reshape(np.asarray(each, np.float64), lengths.shape)
        emitted = np.concatenate([[1.0], 1.0 + np.cumsum(self.survival(int(lengths.max(initial=0))))])
        return np.asarray(emitted[lengths])


def sample(survival: jax.Array, key: jax.Array, requests: int) -> jax.Array:
    """Runs [requests] (int32, at most the number of depths), one uniform word each against S [depths].

    The run is the number of depths with u < S(d), so all draft lengths are served by one word and a longer
    survival leaves shorter runs as they were.
    """
    uniform = unit(key, (requests,))
    return jnp.sum(uniform[:, None] < survival[None, :], axis=1, dtype=jnp.int32)
