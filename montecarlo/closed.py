"""Prices in closed form: no sampling, mean distinct experts in the roofline, as the post has it.

    C(B, T, S)  = sum over terms of a step's seconds, T = k + 1 tokens per sequence
    speedup     = N(k) C(B, 1, S) / (C(B, T, S) + C_draft)          N: tokens per step
    r           = d log C / d log(tokens), of each term; blended: sum r_i C_i / sum C_i + C_draft / C

The maximum of a roofline is taken of means here: it understates the mean of the maximum where a kernel is close
to its ridge (for V4-Flash by at most .05 % of a step). Terms can be left out by name (roofline.TERMS).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.cost import Ideal
from montecarlo.overlap import Overlap
from montecarlo.post import Post
from montecarlo.roofline import TERMS, Floats, Kernel

STEP = 1e-6  # relative step of an elasticity: error about 1e-6, rounding 1e-10


def kernels(
    prices: Ideal | Post, overlap: Overlap | None, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike
) -> list[Kernel]:
    """All kernels of a verify; `overlap` gives the distinct experts (None: a dense target)."""
    found = prices.kernels(batch, draft_length, context)
    window = np.add(draft_length, 1.0)
    if overlap is not None:
        experts = prices.experts(np.multiply(batch, window), overlap.distinct(batch, window))
        found += [experts] if experts is not None else []
    return found


def seconds(
    prices: Ideal | Post,
    overlap: Overlap | None,
    batch: ArrayLike,
    draft_length: ArrayLike,
    context: ArrayLike,
    terms: Collection[str] = TERMS,
) -> dict[str, Floats]:
    """Verify seconds by term [s]; shapes broadcast. Terms that are not asked for are left out."""
    found: dict[str, Floats] = {}
    for kernel in kernels(prices, overlap, batch, draft_length, context):
        if kernel.term in terms:
            found[kernel.term] = np.add(found.get(kernel.term, 0.0), kernel.seconds(prices.bandwidth))
    return found


def flops(
    prices: Ideal | Post, overlap: Overlap | None, batch: ArrayLike, draft_length: ArrayLike, context: ArrayLike
) -> Floats:
    """FLOP of a verify."""
    every = kernels(prices, overlap, batch, draft_length, context)
    return np.asarray(sum(kernel.count * np.asarray(kernel.work.flops) for kernel in every), np.float64)


@dataclass(frozen=True)
class Grid:
    """Step seconds without chance [batches, contexts, lengths]: `base` undrafted [.., 1], `verify`, `draft`."""

    base: Floats
    verify: Floats
    draft: Floats

    @property
    def step(self) -> Floats:
        """A whole step: verify and draft."""
        return self.verify + self.draft

    def speedup(self, tokens_per_step: ArrayLike) -> Floats:
        """Speedup of every cell, for tokens per step [lengths]."""
        return np.asarray(np.multiply(tokens_per_step, self.base / self.step))

    def best(self, tokens_per_step: ArrayLike, allowed: np.ndarray | None = None) -> tuple[np.ndarray, Floats]:
        """(index of the best length, its speedup) [..., batches, contexts] for tokens per step [..., lengths].

        Ties go to the shorter draft. `allowed` [batches, contexts, lengths]: those that fit (None: all).
        """
        emitted = np.asarray(tokens_per_step, np.float64)[..., None, None, :]
        gains = emitted * (self.base / self.step)
        if allowed is not None:
            gains = np.where(allowed, gains, -np.inf)
        found = np.argmax(gains, axis=-1)
        return found, np.take_along_axis(gains, found[..., None], axis=-1)[..., 0]


def grid(
    prices: Ideal | Post,
    overlap: Overlap | None,
    batches: ArrayLike,
    contexts: ArrayLike,
    lengths: ArrayLike,
    terms: Collection[str] = TERMS,
) -> Grid:
    """Step seconds of batches x contexts x draft lengths."""
    batch = np.asarray(batches, np.float64)[:, None, None]
    context = np.asarray(contexts, np.float64)[None, :, None]
    length = np.asarray(lengths, np.float64)[None, None, :]
    shape = np.broadcast_shapes(batch.shape, context.shape, length.shape)

    def verify(depth: ArrayLike) -> Floats:
        every = seconds(prices, overlap, batch, depth, context, terms).values()
        return np.asarray(sum(every, np.float64(0.0)), np.float64)

    base = verify(np.zeros((1, 1, 1)))
    draft = prices.draft_seconds(batch, length, context, base) if "drafting" in terms else np.zeros(1)
    return Grid(
        np.broadcast_to(base, (*shape[:2], 1)),
        np.broadcast_to(verify(length), shape),
        np.broadcast_to(draft, shape),
    )


@dataclass(frozen=True)
class Marginal:
    """A term's elasticity `ratio` at one token per sequence, and its `share` of an undrafted step's seconds."""

    ratio: Floats
    share: Floats


def ledger(
    prices: Ideal | Post, overlap: Overlap | None, batch: ArrayLike, context: ArrayLike, terms: Collection[str] = TERMS
) -> dict[str, Marginal]:
    """The ledger of marginal cost: r by term; its total is the sum of ratio x share.

    r is taken along the window from T = 1, to the right (with uniform routing the same as along the batch);
    attention's at T = 2, as in the post's chart: the first speculated token decides whether it is compute-bound.
    Drafting counts with the cost of one draft over the undrafted step (its share), at ratio 1.
    """
    step = seconds(prices, overlap, batch, 0, context, terms)
    total = np.asarray(sum(step.values(), np.float64(0.0)), np.float64)
    wider = seconds(prices, overlap, batch, STEP, context, terms)
    two, past_two = (seconds(prices, overlap, batch, 1.0 + extra, context, terms) for extra in (0.0, 2 * STEP))
    found = {}
    for term, spent in step.items():
        if term == "attention":
            ratio = np.log(past_two[term] / two[term]) / np.log1p(STEP)
        else:
            ratio = np.log(wider[term] / spent) / np.log1p(STEP)
        found[term] = Marginal(np.asarray(ratio), np.divide(spent, total))
    if "drafting" in terms:
        one = prices.draft_seconds(batch, 1, context, total)
        found["drafting"] = Marginal(np.ones_like(total), np.asarray(one / total))
    return found
