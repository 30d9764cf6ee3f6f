"""Logs of steps sampled from a difficulty process: as many texts as asked for, or the texts of another log."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from montecarlo.difficulty import Difficulty, paths, runs_along, sample
from montecarlo.keys import Stream, key
from traces.step_log import StepLog, walked

TOKENS_OF, TURNS_OF = 256, 64  # sampled sizes are rounded up to these, so that few shapes are compiled


def steps(process: Difficulty, *, requests: int, tokens: int, draft_length: int, seed: int, world: int = 0) -> StepLog:
    """One walk over each of `requests` texts of `tokens` tokens, drafting `draft_length` at every step."""
    stream = key(seed, world, Stream.RUN)
    run = sample(process, stream, requests=requests, tokens=tokens, draft_length=draft_length)
    return walked(np.asarray(run), draft_length)


def steps_like(
    process: Difficulty,
    log: StepLog,
    *,
    draft_length: int | None = None,
    length_slope: float = 0.0,
    typical_tokens: float = 1.0,
    seed: int,
    world: int = 0,
) -> StepLog:
    """The log that the process leaves on the texts of `log`: its requests, turns and tokens.

    Step i of a turn drafts what step i of that turn in `log` did, steps past its last what that one did; a
    `draft_length` is that of all steps.

    A request is easier by length_slope log(its tokens / typical_tokens).

    A turn has paths of its own under the request's ease.
    """
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(log.request) != 0) | (np.diff(log.turn) != 0)]))
    tokens = np.add.reduceat(log.accepted + 1, begins) + 1  # the first token of a turn is emitted before any step
    request, longest = log.request[begins], -(-int(tokens.max()) // TOKENS_OF) * TOKENS_OF
    turns = -(-len(begins) // TURNS_OF) * TURNS_OF
    key_ease, key_path, key_coin = jax.random.split(key(seed, world, Stream.RUN), 3)
    ease = process.request_sd * jax.random.normal(key_ease, (log.requests,))
    ease += jnp.asarray(length_slope * np.log(log.tokens / typical_tokens), jnp.float32)
    within = paths(replace(process, request_sd=jnp.float32(0)), key_path, requests=turns, tokens=longest)
    of_turn = jnp.pad(ease[request], (0, turns - len(begins)))
    # a walk decides every token once at most, so one coin a token is the law of fresh coins, at a fraction of the words
    longest_draft = draft_length or log.draft_length
    run = runs_along(process, within + of_turn[None], key_coin, draft_length=longest_draft, coupling="token")
    drafted = _by_step(log.drafted, begins) if draft_length is None else draft_length
    new = walked(np.asarray(run).T[: len(begins)], drafted, tokens)
    return StepLog.of(
        request=request[new.request], turn=new.request, drafted=new.drafted, accepted=new.accepted, cut=new.cut
    )


def _by_step(drafted: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """The drafted lengths [steps] of turns that begin at steps `begins`, as rows [turns, steps of the longest]."""
    if np.all(drafted == drafted[0]):
        return np.full((len(begins), 1), drafted[0])
    last = np.append(begins[1:], len(drafted)) - 1
    at = begins[:, None] + np.arange((last - begins).max() + 1)
    return np.asarray(drafted[np.minimum(at, last[:, None])])
