"""Step seconds and tokens of every batch and draft length at many points of the unknowns, cheap enough to nest.

The experts of a window are counted once, in surface worlds (studies/surfaces.py), and not sampled again at every
point. With D the distinct experts of a world and I those of as many independent tokens of the same popularity,

    D_f(B, k) = I(B (k+1)) - f (I(B (k+1)) - D(B, k)),     at most I at f = 0, D at f = 1, at least top_k

so the overlap f moves what neighbouring tokens share and not what popularity alone does: the undrafted step keeps
its experts. Seconds are those of the mean over batches and layers, as in closed form (docs/model.md). What rejected
drafts load stays that of the scenario's own acceptance.

Inner worlds: the surface's, an even half and an odd half. Every row takes INNER of each half, drawn anew, so that the
noise of traffic is there and its two halves are independent.
"""

from dataclasses import dataclass, replace

import numpy as np

from montecarlo import coverage, exact
from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.estimate import Floats
from montecarlo.keys import Stream, generator
from montecarlo.post import Post
from montecarlo.terms import SECONDS
from studies.scenario import Built
from studies.unknowns import Unknowns

POOL = 48  # surface worlds, both halves together
INNER = 4  # worlds of each half at a point
CHUNK = 128  # points priced at once


@dataclass(frozen=True)
class Change:
    """Factors on what a better drafter, model or engine changes; rooflines: prices without what an engine adds."""

    acceptance: float = 1.0
    overlap: float = 1.0
    drafting: float = 1.0
    fixed: float = 1.0
    rooflines: bool = False


NONE = Change()


@dataclass(frozen=True)
class Halves:
    """At each point, from two independent halves of inner worlds [2, points, batches, lengths].

    log_rate: log of tokens per second and sequence; lost, best: share of the inner worlds in which the length is
    slower than none; in which it is the fastest. Lengths that do not fit are never the best.
    """

    log_rate: Floats
    lost: Floats
    best: Floats


@dataclass(frozen=True)
class Response:
    """batches: those that fit undrafted. allowed [batches, lengths]: what fits. pool [2, worlds, batches, depths],
    independent [batches, depths]: distinct experts, D and I above.
    """

    unknowns: Unknowns
    batches: tuple[int, ...]
    allowed: np.ndarray
    pool: Floats
    independent: Floats

    @classmethod
    def of(cls, unknowns: Unknowns, distinct: Floats) -> "Response":
        """From the `distinct` experts [worlds, groups, depths] of the surface, summed over layers."""
        built = unknowns.built
        slices = coverage.group_slices(built.requests, built.batches)
        means = np.stack([distinct[:, groups].mean(axis=1) for groups in slices], axis=1) / max(built.layers, 1)
        fits = built.prices.fits(np.asarray(built.batches)[:, None], np.asarray(built.lengths), built.contexts[0])
        allowed = np.ones((len(slices), len(built.lengths)), bool) if fits is None else np.asarray(fits, bool)
        kept = np.flatnonzero(allowed[:, 0])
        batches = tuple(built.batches[i] for i in kept)
        return cls(
            unknowns, batches, allowed[kept], np.stack([means[0::2], means[1::2]])[:, :, kept], _alone(built, batches)
        )

    def at(self, points: Floats, rows: np.ndarray, seed: int) -> Halves:
        """At `points` [points, columns]; `rows` [points] number the inner worlds each one takes."""
        parts = []
        for first in range(0, len(points), CHUNK):
            at = slice(first, first + CHUNK)
            taken = self._taken(rows[at], seed)
            base, step, tokens = self._seconds(points[at], taken)
            rate = np.where(self.allowed, tokens / step, 0.0)  # [2, inner, points, batches, lengths]
            fastest = np.argmax(rate, axis=-1)[..., None] == np.arange(rate.shape[-1])
            mean = np.where(self.allowed, np.log(tokens / step.mean(axis=1)), 0.0)
            low = np.where(self.allowed, mean, mean[..., :1] - 1.0)
            parts.append((low, np.mean(rate < 1 / base, axis=1), np.mean(fastest, axis=1)))
        return Halves(*(np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True)))

    def expected(self, points: Floats, change: Change = NONE) -> tuple[Floats, Floats]:
        """(undrafted [points, batches], rate [points, batches, lengths]) over all worlds of the surface; no noise.

        undrafted: seconds of a step; rate: tokens per second and sequence, 0 where it does not fit.
        """
        mean, parts = self.pool.mean(axis=(0, 1)), []
        for first in range(0, len(points), CHUNK):
            base, step, tokens = self._seconds(points[first : first + CHUNK], mean, change)
            parts.append((base[..., 0], np.where(self.allowed, tokens / step, 0.0)))
        undrafted, rate = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return undrafted, rate

    def speedup(self, points: Floats, change: Change = NONE) -> Floats:
        """Speedup [points, batches, lengths] over all worlds of the surface."""
        undrafted, rate = self.expected(points, change)
        return np.asarray(rate * undrafted[..., None])

    def _taken(self, rows: np.ndarray, seed: int) -> Floats:
        """Distinct experts [2, INNER, points, batches, depths] of the inner worlds of each row."""
        worlds = np.stack(
            [generator(seed, int(row), Stream.INNER).integers(self.pool.shape[1], size=(2, INNER)) for row in rows]
        )
        return np.stack([half[worlds[:, at].T] for at, half in enumerate(self.pool)])

    def _seconds(self, points: Floats, distinct: Floats, change: Change = NONE) -> tuple[Floats, Floats, Floats]:
        """(undrafted [.., points, batches, 1], step [.., lengths], tokens per step [points, 1, lengths])."""
        built, prices = self.unknowns.built, self._prices(points, change)
        batch = np.asarray(self.batches, np.float64)[:, None]
        depth, context = np.arange(built.deepest + 1.0), float(built.contexts[0])
        verify = prices.other_seconds(batch, depth, context)
        shape = np.broadcast_shapes(verify.shape, distinct.shape, (len(points), 1, 1))
        verify = np.broadcast_to(verify, shape)  # a dense target, or prices without unknowns, lack some of the axes
        if built.experts:
            factor = change.overlap * self.unknowns.value("overlap", points)[:, None, None]
            touched = np.maximum(self.independent - factor * (self.independent - distinct), built.top_k)
            touched = np.maximum.accumulate(touched, axis=-1)  # a longer window holds the shorter one's experts
            verify = verify + built.layers * prices.moe_seconds(batch * (depth + 1), touched)
        base = verify[..., :1]
        step = verify + change.drafting * prices.draft_seconds(batch, depth, context, base)
        lengths = list(built.lengths)
        survival = np.cumprod(np.minimum(change.acceptance * self.unknowns.hazards(points), 1.0), axis=-1)
        tokens = 1 + np.concatenate([np.zeros((len(points), 1)), np.cumsum(survival, axis=-1)], axis=-1)
        return base, step[..., lengths], tokens[:, None, lengths]

    def _prices(self, points: Floats, change: Change) -> Ideal | Post:
        prices, ideal = self.unknowns.built.prices, self.unknowns.built.ideal
        if self.unknowns.built.priors is None or (change.rooflines and ideal is not None):
            return ideal if change.rooflines and ideal is not None else prices
        assert isinstance(prices, Achieved)
        terms = self.unknowns.terms(points, 2)
        if change.fixed != 1:
            terms = replace(terms, **{name: change.fixed * getattr(terms, name) for name in SECONDS})
        return replace(prices, terms=terms)


def _alone(built: Built, batches: tuple[int, ...]) -> Floats:
    """Mean distinct experts [batches, depths] of independent tokens, every layer's own popularity."""
    tokens = np.asarray(batches, np.float64)[:, None] * np.arange(1, built.deepest + 2)
    if not built.experts:
        return np.zeros(tokens.shape)
    if built.recording is not None:
        seen = built.recording.text.experts
        counts = [np.bincount(seen[:, layer].ravel(), minlength=built.experts) for layer in range(built.layers)]
        chance = np.stack(counts)[:, : built.experts] / len(seen)
    else:
        assert built.process is not None
        chance = exact.inclusion(built.process.popularity(), built.top_k, nodes=120)
    missing = 1 - np.clip(chance, 0, 1)
    return np.asarray(np.mean([np.sum(1 - layer ** tokens[..., None], axis=-1) for layer in missing], axis=0))
