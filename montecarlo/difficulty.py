"""Acceptance beyond depth: a drafter's decay by depth times a difficulty that moves along the text.

The draft of text position j at depth d of the step that started at t (j = t + d) is accepted, given that all
before it in the step were, with probability

    sigmoid(offset_d + z_j),   z_j = u + s_j + l_j

    u   ~ N(0, request_sd^2)   the ease of the whole request
    s_j   stationary AR(1) along the text, sd short_sd, correlation exp(-1 / short_tokens) from token to token
    l_j   the same with slow_sd and slow_tokens, slower

Offsets past the last known depth D go on in a straight line of logits: offset_D - fall (d - D). `fall` = 0 is a
chain whose drafter holds (its hazards still rise, because runs that get deep are in easy text); a one-step head
run on its own output loses about the same logit at every depth, so its `fall` is positive. It is never negative:
nothing that drafts gets better as it goes.

Couplings of the runs of one text: `start`, a fresh coin for each (start, depth); `token`, one uniform number for
each text token shared by all starts, a stress level. A log of steps holds at most one draft of each token that was
decided, so the two have the same law there and no log tells them apart.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, qmc

from montecarlo.errors import InputError
from montecarlo.keys import unit

Coupling = Literal["start", "token"]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["offsets", "fall", "request_sd", "short_sd", "short_tokens", "slow_sd", "slow_tokens"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Difficulty:
    """offsets [known depths] in logits at average difficulty; the rest scalars: logits, or tokens of text."""

    offsets: jax.Array
    fall: jax.Array
    request_sd: jax.Array
    short_sd: jax.Array
    short_tokens: jax.Array
    slow_sd: jax.Array
    slow_tokens: jax.Array

    @classmethod
    def of(
        cls,
        offsets: ArrayLike,
        *,
        request_sd: float = 0.0,
        short_sd: float = 0.0,
        short_tokens: float = 1.0,
        slow_sd: float = 0.0,
        slow_tokens: float = 100.0,
        fall: float = 0.0,
    ) -> "Difficulty":
        """Check and hold a process; raises InputError for what is no number, negative, or slower than slow."""
        try:
            known = np.atleast_1d(np.asarray(offsets, np.float64))
        except (TypeError, ValueError) as error:
            raise InputError(f"offsets are {offsets!r}; they must be a list of logits by depth") from error
        if known.ndim != 1 or known.size == 0 or not np.all(np.isfinite(known)):
            raise InputError(f"offsets are {offsets!r}; they must be at least one finite logit by depth")
        amounts = {"request_sd": request_sd, "short_sd": short_sd, "slow_sd": slow_sd, "fall": fall}
        for name, value in amounts.items():
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value!r}; it must be finite and at least 0")
        for name, value in {"short_tokens": short_tokens, "slow_tokens": slow_tokens}.items():
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value!r}; a time scale is finite and above 0 tokens")
        if short_sd > 0 and slow_sd > 0 and short_tokens >= slow_tokens:
            raise InputError(
                f"short_tokens is {short_tokens:g} and slow_tokens {slow_tokens:g}; the short time scale is the shorter"
            )
        scalars = (fall, request_sd, short_sd, short_tokens, slow_sd, slow_tokens)
        return cls(jnp.asarray(known, jnp.float32), *(jnp.float32(value) for value in scalars))

    @property
    def known(self) -> int:
        """Depths whose offsets are known; deeper ones are on the straight line."""
        return int(self.offsets.shape[0])

    def logits(self, depths: int) -> jax.Array:
        """Offsets at depth 1..depths [depths], those past the last known on the straight line."""
        past = jnp.maximum(jnp.arange(depths) - (self.known - 1), 0)
        return self.offsets[jnp.minimum(jnp.arange(depths), self.known - 1)] - self.fall * past


@partial(jax.jit, static_argnames=("requests", "tokens"))
def paths(process: Difficulty, key: jax.Array, *, requests: int, tokens: int) -> jax.Array:
    """Ease z [tokens, requests], each a stationary path along its text.

    A token's innovations depend on the key, the token and the request alone, so longer texts and more requests
    keep what is there.
    """
    key_request, key_token = jax.random.split(key)
    sd = jnp.stack([process.short_sd, process.slow_sd])
    stays = jnp.exp(-1 / jnp.stack([process.short_tokens, process.slow_tokens]))
    fresh = jnp.sqrt(1 - stays**2)
    request = process.request_sd * jax.random.normal(key_request, (requests,))

    def token(before: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise = jax.random.normal(jax.random.fold_in(key_token, position), (requests, 2))
        now = jnp.where(position == 0, noise, stays[None] * before + fresh[None] * noise)  # stationary from the start
        return now, request + now @ sd

    return jax.lax.scan(token, jnp.zeros((requests, 2)), jnp.arange(tokens))[1]


@partial(jax.jit, static_argnames=("draft_length", "coupling"))
def runs_along(
    process: Difficulty, ease: jax.Array, key: jax.Array, *, draft_length: int, coupling: Coupling = "start"
) -> jax.Array:
    """Runs [tokens, requests] int32 along paths of `ease`: at most `draft_length`, and none beyond the end of the text.

    run[t] of a shorter draft length is the minimum of both, and the run in a text cut after `length` tokens is
    min(run[t], length - 1 - t): one draw serves all lengths of both kinds.
    """
    tokens, requests = ease.shape
    logits = process.logits(draft_length)

    def uniforms(depth: jax.Array | int) -> jax.Array:
        one = partial(jax.random.fold_in, jax.random.fold_in(key, depth))
        return jax.vmap(lambda position: unit(one(position), (requests,)))(jnp.arange(tokens))

    shared = uniforms(0) if coupling == "token" else None

    def deeper(i: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        run, alive = state
        depth = i + 1
        ahead = jnp.roll(ease, -depth, axis=0)
        coin = uniforms(depth) if shared is None else jnp.roll(shared, -depth, axis=0)
        inside = (jnp.arange(tokens) + depth < tokens)[:, None]
        alive &= inside & (coin < jax.nn.sigmoid(logits[i] + ahead))
        return run + alive, alive

    start = (jnp.zeros((tokens, requests), jnp.int32), jnp.full((tokens, requests), True))
    return jax.lax.fori_loop(0, draft_length, deeper, start)[0]


def sample(
    process: Difficulty, key: jax.Array, *, requests: int, tokens: int, draft_length: int, coupling: Coupling = "start"
) -> jax.Array:
    """Runs [requests, tokens] int32 of `requests` texts of `tokens` tokens, as `paths` and `runs_along` say."""
    key_path, key_coin = jax.random.split(key)
    ease = paths(process, key_path, requests=requests, tokens=tokens)
    return runs_along(process, ease, key_coin, draft_length=draft_length, coupling=coupling).T


def survival(process: Difficulty, depths: int, *, points: int = 2**14) -> tuple[np.ndarray, np.ndarray]:
    """(S(1..depths), its error) of starts at every position of the text alike, float64, by quadrature.

    S(d) = E prod_{i <= d} sigmoid(offset_i + z_i) over the Gaussian path z_1..z_d, which has covariance
    request_sd^2 + short_sd^2 phi_s^|i-j| + slow_sd^2 phi_l^|i-j|. Integrated over its principal axes by eight
    scrambled Sobol sets of `points` points each (Acworth, Broadie and Glasserman, MCQMC 1996); the error is theirs.
    Steps that walk over the text start elsewhere: right after a rejection, where text is hard.
    """
    lag = np.abs(np.subtract.outer(np.arange(depths), np.arange(depths)))
    covariance = np.full(lag.shape, float(process.request_sd) ** 2)
    for sd, scale in ((process.short_sd, process.short_tokens), (process.slow_sd, process.slow_tokens)):
        covariance += float(sd) ** 2 * np.exp(-lag / float(scale))
    values, axes = np.linalg.eigh(covariance)
    root = (axes * np.sqrt(np.maximum(values, 0)))[:, ::-1]  # the largest axis takes the first, best dimension
    logits = np.asarray(process.logits(depths), np.float64)
    sets = []
    for seed in range(8):
        uniform = qmc.Sobol(depths, rng=np.random.default_rng(seed)).random(points)
        path = norm.ppf(np.clip(uniform, 1e-12, 1 - 1e-12)) @ root.T
        sets.append(np.cumprod(1 / (1 + np.exp(-logits - path)), axis=1).mean(axis=0))
    return np.mean(sets, axis=0), np.std(sets, axis=0, ddof=1) / np.sqrt(len(sets))
