"""Acceptance whose difficulty is changed while what an engine prints stays: offsets moved until the walk's survival is.

Walked at draft length D, steps accept drafts with S_D(d) = P(run >= d), the per-position acceptance of engines. With
another spread of difficulty the same offsets would give another S_D, so offsets are moved until its hazards are:

    offset_d <- offset_d + logit h(d) - logit h_walked(d)

on the same random numbers each time: a contraction, as a hazard moves by less than its offset.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from scipy.special import logit

from montecarlo import difficulty
from montecarlo.difficulty import Difficulty
from montecarlo.keys import Stream, key
from montecarlo.roofline import Floats
from montecarlo.walk import Steps, walk

REQUESTS, TOKENS = 512, 256  # the texts walked
WORLD = 1_000_000  # one past any world of a study
ROUNDS = 7
EDGE = 1e-3  # hazards nearer to 0 or 1 than this count as this


def whole(steps: Steps, tokens: int, longest: int) -> np.ndarray:
    """Which steps [steps] of texts of `tokens` tokens have room for the `longest` draft: none is cut by the end."""
    return np.asarray(steps.position < tokens - 1 - longest)


def walked(process: Difficulty, lengths: Sequence[int], seed: int) -> tuple[Floats, Floats]:
    """(tokens per step [lengths], S(1..longest) of steps at the longest of the lengths), of steps no end cuts."""
    longest = max(lengths)
    drawn = difficulty.sample(
        process, key(seed, WORLD, Stream.RUN), requests=REQUESTS, tokens=TOKENS, draft_length=max(longest, 1)
    )
    runs, size = np.asarray(drawn).reshape(-1), np.full(REQUESTS, TOKENS)
    tokens, survival = np.ones(len(lengths)), np.zeros(0)
    for i, length in enumerate(lengths):
        steps = walk(np.arange(REQUESTS) * TOKENS, size, runs, length)
        accepted = steps.accepted[whole(steps, TOKENS, longest)]
        tokens[i] = 1 + accepted.mean()
        if length == longest:
            survival = np.array([np.mean(accepted >= depth) for depth in range(1, longest + 1)])
    return tokens, survival


def hazards(survival: Floats) -> Floats:
    """h(d) = S(d) / S(d-1), kept `EDGE` away from 0 and 1."""
    before = np.concatenate([[1.0], survival[:-1]])
    return np.clip(np.divide(survival, before, out=np.zeros_like(survival), where=before > 0), EDGE, 1 - EDGE)


def centred(process: Difficulty, survival: Floats, seed: int, *, same: bool = False) -> Difficulty:
    """The process with offsets [depths] at which its walk at draft length `depths` has `survival` [depths].

    same: one offset for all depths, for i.i.d. drafts but for the spread; then S(1) alone is kept.
    """
    target = logit(hazards(np.asarray(survival, np.float64)))
    offsets = target[:1] if same else target
    for _ in range(ROUNDS):
        process = replace(process, offsets=jnp.asarray(offsets, jnp.float32))
        _, now = walked(process, [len(target)], seed)
        miss = target - logit(hazards(now))
        offsets = offsets + (miss[:1] if same else miss)
    return replace(process, offsets=jnp.asarray(offsets, jnp.float32))
