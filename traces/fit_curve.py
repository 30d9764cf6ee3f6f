"""Fit the difficulty process to tokens per step by draft length, where no steps were logged, and extrapolate.

Two or three figures say next to nothing of how difficulty moves, so that part is a stated prior, from the logs in
which it can be seen (EAGLE-1, Medusa and Hydra on Vicuna-7B, as fitted by traces/fit_acceptance.py: short_sd 1.1 to
1.4 over 1.0 to 1.6 tokens, slow_sd 0.4 to 1.0 over 11 to 340 tokens, request_sd 0.2 to 0.5):

    log request_sd, short_sd, slow_sd    normal about log 0.35, 1.3, 0.75, sd 0.4
    log short_tokens, slow_tokens        normal about log 1.5, 60, sd 0.5 and 1.2
    offset_1                             normal about 2.4, sd 0.8: engines report first drafts at 60 to 95 %
    fall                                 exponential of mean 0.4 logits for each depth, from the first on
    figure - 1                           measured to 2.5 % (one sd): runs of one engine at lengths where nothing changes
                                         any more differ by as much

Every draw of the prior walks over the same texts (common random numbers) at all draft lengths, so renewal
selection is in it; draws are then weighted by how well they meet the figures.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from montecarlo.difficulty import Difficulty, paths, runs_along
from montecarlo.errors import InputError
from montecarlo.keys import Stream, generator, key

Floats = NDArray[np.float64]

SDS, SDS_SPREAD = np.array([0.35, 1.3, 0.75]), 0.4
NAMES = ("offset_1", "fall", "request_sd", "short_sd", "slow_sd", "short_tokens", "slow_tokens")  # of theta
TOKENS, TOKENS_SPREAD = np.array([1.5, 60.0]), np.array([0.5, 1.2])
OFFSET, OFFSET_SPREAD, FALL = 2.4, 0.8, 0.4
NOISE = 0.025
AT_ONCE = 32  # draws
WALKED = (256, 1024)  # texts and tokens that one process walks over


@dataclass(frozen=True)
class Bank:
    """Draws of the prior, theta [draws, 7] (offset, fall, three sds, two time scales), and what each walk emits.

    tokens_per_step [draws, lengths]: at draft length 1, 2, ...
    """

    theta: Floats
    tokens_per_step: Floats


def prior(draws: int, seed: int = 0) -> Floats:
    """theta [draws, 7] of the prior above."""
    random = generator(seed, 0, Stream.SPLIT)
    normal = random.standard_normal((draws, 6))
    sds = SDS * np.exp(SDS_SPREAD * normal[:, 1:4])
    tokens = TOKENS * np.exp(TOKENS_SPREAD * normal[:, 4:6])
    tokens[:, 1] = np.maximum(tokens[:, 1], 2 * tokens[:, 0])
    fall = random.exponential(FALL, draws)
    return np.column_stack([OFFSET + OFFSET_SPREAD * normal[:, 0], fall, sds, tokens])


def process_of(theta: Floats) -> Difficulty:
    """The process of one row of theta."""
    offset, fall, request_sd, short_sd, slow_sd, short_tokens, slow_tokens = theta
    return Difficulty.of(
        [offset],
        fall=fall,
        request_sd=request_sd,
        short_sd=short_sd,
        short_tokens=short_tokens,
        slow_sd=slow_sd,
        slow_tokens=slow_tokens,
    )


def bank(draws: int, lengths: int, *, requests: int = 128, tokens: int = 1024, seed: int = 0) -> Bank:
    """Walk `draws` processes of the prior over `requests` texts of `tokens` tokens at draft lengths 1..lengths."""
    theta = prior(draws, seed)
    stream = key(seed, 0, Stream.RUN)
    found = []
    for first in range(0, draws, AT_ONCE):
        some = [process_of(one) for one in theta[first : first + AT_ONCE]]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *some)
        found.append(np.asarray(walk_lengths(stacked, stream, lengths, requests, tokens), np.float64))
    return Bank(theta, np.concatenate(found))


@partial(jax.jit, static_argnames=("lengths", "requests", "tokens"))
def walk_lengths(processes: Difficulty, stream: jax.Array, lengths: int, requests: int, tokens: int) -> jax.Array:
    """Tokens per step [processes, lengths] of walks at draft length 1..lengths over texts of `tokens` tokens."""
    key_path, key_coin = jax.random.split(stream)

    def one(process: Difficulty) -> jax.Array:
        ease = paths(process, key_path, requests=requests, tokens=tokens)
        return steps_by_length(runs_along(process, ease, key_coin, draft_length=lengths), lengths)

    steps = jax.vmap(one)(processes)
    return requests * (tokens - 1) / steps


def steps_by_length(run: jax.Array, lengths: int) -> jax.Array:
    """Steps [lengths] that walks over runs [tokens, requests] take at draft length 1..lengths, from token 0 on."""
    at_most = jnp.arange(1, lengths + 1)[:, None]

    def token(state: tuple[jax.Array, jax.Array], run: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        still, steps = state  # tokens that the step under way still emits [lengths, requests]
        starts = still == 0
        still = jnp.where(starts, jnp.minimum(run[None], at_most), still - 1)
        return (still, steps + starts.sum(axis=1)), None

    nothing = (jnp.zeros((lengths, run.shape[1]), jnp.int32), jnp.zeros(lengths, jnp.int32))
    return jax.lax.scan(token, nothing, run[:-1])[0][1]  # the last token is nobody's start


@dataclass(frozen=True)
class Curve:
    """Weights [draws] of the bank's draws, their effective number, and the predicted figures by draft length.

    predicted, low, high [lengths]: mean and the ends of the 90 % interval of a figure measured like the others.
    """

    weights: Floats
    effective: float
    predicted: Floats
    low: Floats
    high: Floats


def fit_curve(bank: Bank, draft_lengths: ArrayLike, figures: ArrayLike, *, seed: int = 0) -> Curve:
    """Weigh the draws of `bank` by tokens per step `figures` at `draft_lengths`; raises InputError where none fits."""
    lengths, given = np.asarray(draft_lengths, np.int64), np.asarray(figures, np.float64)
    most = bank.tokens_per_step.shape[1]
    if lengths.shape != given.shape or lengths.ndim != 1 or not lengths.size:
        raise InputError(f"{given.size} figures for {lengths.size} draft lengths; give one each")
    if lengths.min() < 1 or lengths.max() > most:
        raise InputError(f"draft lengths are {lengths.tolist()}; the bank holds 1 to {most}")
    if not np.all((given > 1) & (given <= lengths + 1)):
        raise InputError(
            f"tokens per step are {given.tolist()}; with the bonus they are above 1, at most the length + 1"
        )
    walked = bank.tokens_per_step[:, lengths - 1]
    log_weight = -0.5 * np.sum(((walked - given) / (NOISE * (given - 1))) ** 2, axis=1)
    weights = np.exp(log_weight - log_weight.max())
    weights /= weights.sum()
    effective = float(1 / np.sum(weights**2))
    if log_weight.max() < -0.5 * 9 * lengths.size:
        raise InputError(f"no process of the prior gives tokens per step {given.tolist()}; the nearest is 3 errors off")
    chosen = generator(seed, 1, Stream.SPLIT).choice(len(weights), size=20_000, p=weights)
    noise = generator(seed, 2, Stream.SPLIT).standard_normal((len(chosen), most))
    drawn = 1 + (bank.tokens_per_step[chosen] - 1) * (1 + NOISE * noise)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    return Curve(weights, effective, weights @ bank.tokens_per_step, low, high)


def posterior(
    bank: Bank, curve: Curve, draft_lengths: ArrayLike, figures: ArrayLike
) -> tuple[Difficulty, Floats, Floats]:
    """One process for a curve, and the standard deviations [7] and correlations [7, 7] of its parameters.

    The means over the weighted draws, of sds and time scales in the logarithm, do not meet the figures, which bend with
    the parameters; so offset and fall are moved until a walk meets them best (least squares in errors). Its offsets go
    as deep as the figures. theta is ordered as in Bank; deviations are of sds as they are, of time scales in logarithm.
    """
    logs = np.log(bank.theta[:, 2:])
    centre = curve.weights @ np.column_stack([bank.theta[:, :2], logs])
    covariance = np.cov(np.column_stack([bank.theta[:, :5], logs[:, 3:]]).T, aweights=curve.weights)
    error = np.sqrt(np.diag(covariance))
    at, given = np.asarray(draft_lengths, np.int64) - 1, np.asarray(figures, np.float64)

    def process(moved: Floats) -> Difficulty:
        return process_of(np.concatenate([moved, np.exp(centre[2:])]))

    def off(moved: Floats) -> Floats:
        one = jax.tree.map(lambda leaf: leaf[None], process(moved))
        walked = walk_lengths(one, key(0, 1, Stream.RUN), int(at.max()) + 1, *WALKED)
        return (np.asarray(walked, np.float64)[0, at] - given) / (NOISE * (given - 1))

    found = least_squares(off, centre[:2], bounds=([-np.inf, 0], np.inf), diff_step=0.03, xtol=1e-3, ftol=1e-4)
    known = process(found.x)
    return replace(known, offsets=known.logits(int(at.max()) + 1)), error, covariance / np.outer(error, error)


def constant_hazard(figures: ArrayLike, lengths: int) -> Floats:
    """Tokens per step [lengths] at draft length 1..lengths from those at 1, 2, 3, the hazard of depth 3 kept beyond."""
    gains = np.diff(np.concatenate([[1.0], np.asarray(figures, np.float64)[:3]]))
    more = gains[2] * (gains[2] / gains[1]) ** np.arange(1, lengths - 2)
    return 1 + np.cumsum(np.concatenate([gains, more]))
