"""A trace folder synthesised from a profile: experts of every token from routing, verify steps from acceptance.

Streamed, 64 requests at a time, each block with random words of its own: more requests leave what is there as it is. An
acceptance profile by depth is walked as a difficulty that never moves: offsets are the logits of its hazards.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError, whole
from traces import profiles
from traces.acceptance_log import DEEPEST, AcceptanceLog
from traces.profiles import Profile, difficulty
from traces.request import DECODE, Reading, Request, Shape
from traces.schema import CURVES, MEANS, REQUESTS, STEPS
from traces.step_log import StepLog
from traces.synthesise import BLOCK, synthesise
from traces.synthesise_steps import steps
from traces.writer import Writer

MOST = 1 << 27  # expert ids of a block (int32: half a GB)
MOST_TOKENS = 1 << 18  # of a text that is walked
CERTAIN = 30.0  # logits: an acceptance probability of 1 in single precision

Progress = Callable[[int], None]


def synthesise_trace(
    name: str,
    out: Path,
    *,
    requests: int,
    tokens: int,
    seed: int,
    shape: Shape | None = None,
    groups: tuple[int, int] = (1, 1),
    draft_length: int | None = None,
    progress: Progress = lambda tokens: None,
) -> dict[str, Any]:
    """Write the trace of `requests` texts of `tokens` tokens of profile `name` to `out`, and return its trace.json.

    shape: of another model than the profile's own; groups: of its experts, and those a token may use. draft_length: as
    num_speculative_tokens, for acceptance. progress is called with the tokens made so far. Raises InputError for what
    does not fit together; then nothing is left.
    """
    profile = profiles.load(name)
    if min(requests, tokens) < 1 or not 0 <= seed < 1 << 32:
        raise InputError(
            f"{requests} requests of {tokens} tokens, seed {seed}: 1 or more of each, a seed of 0 to 2^32 - 1"
        )
    if profile.kind not in ("routing", "acceptance", "difficulty"):
        raise InputError(f"profile {name} describes {profile.kind}: only routing and acceptance say what a text does")
    made = {"profile": profile.id, "kind": profile.kind, "tokens": tokens, "seed": seed}
    info: dict[str, Any] = {
        "format": "synthesised",
        "files": [{"name": Path(name).name, "sha256": profiles.digest(name)}],
        "model": None,
    }
    said = f"Synthesised from profile {profile.id}, {profile.title}. {profile.limits}".strip()
    if profile.kind == "routing":
        if draft_length is not None:
            raise InputError(f"profile {name} describes routing, which drafts nothing: leave out the draft length")
        of = shape or _own(profile)
        _room(tokens, MOST // (BLOCK * of.layers * of.top_k), f"{of.layers} layers x top {of.top_k}")
        with Writer(out, Reading(shape=of, notes=[said])) as trace:
            _routed(trace, profile, of, groups, requests, tokens, seed, progress)
            return trace.seal({**info, **trace.experts(f"profile {name}"), "synthesised": made})
    if draft_length is None or not 1 <= draft_length <= DEEPEST:
        raise InputError(
            f"profile {name} describes acceptance: say how far was drafted (num_speculative_tokens), 1 to {DEEPEST:,}, "
            "with --draft-length"
        )
    if shape is not None:
        raise InputError(f"profile {name} describes acceptance, which is not of a target: leave out --target")
    if tokens < 2:
        raise InputError("a text of 1 token has no verify step; give 2 tokens or more")
    _room(tokens, MOST_TOKENS, "acceptance")
    with Writer(out, Reading(notes=[said])) as trace:
        log = _stepped(process(profile, draft_length), requests, tokens, draft_length, seed, progress)
        held = trace.acceptance(log, "synthesised")
        return trace.seal({**info, **held, "synthesised": {**made, "draft_length": draft_length}})


def process(profile: Profile, draft_length: int) -> Difficulty:
    """The difficulty process of a profile of acceptance, of either kind; as of a request of typical length."""
    if profile.kind == "difficulty":
        return difficulty.process(profile.numbers, profile.id)
    hazard = np.asarray(profiles.acceptance(profile).at(draft_length).hazards)
    with np.errstate(divide="ignore"):
        return Difficulty.of(np.clip(np.log(hazard) - np.log1p(-hazard), -CERTAIN, CERTAIN))


def _own(profile: Profile) -> Shape:
    """The model a routing profile was fitted on."""
    experts, top_k = (whole(f"profile {profile.id}: {key}", profile.numbers.get(key)) for key in ("experts", "top_k"))
    layers = profile.numbers.get("shares", profile.numbers.get("skew"))
    if not isinstance(layers, list) or not layers:
        raise InputError(f"profile {profile.id} needs shares or skew, by layer")
    return Shape(len(layers), experts, top_k, len(layers))


def _room(tokens: int, most: int, what: str) -> None:
    if tokens > most:
        raise InputError(f"texts of {tokens:,} tokens are too long to be made for {what}: at most {most:,}")


def _routed(
    trace: Writer,
    profile: Profile,
    shape: Shape,
    groups: tuple[int, int],
    requests: int,
    tokens: int,
    seed: int,
    progress: Progress,
) -> None:
    routing = profiles.routing(profile, layers=shape.layers, experts=shape.experts, top_k=shape.top_k)
    phase, number = np.full(tokens, DECODE, np.int8), 0
    for block in synthesise(routing.limited(*groups), requests, tokens, seed):
        for ids in block:
            trace.add(Request(ids=ids, phase=phase, place=f"request {number}"))
            number += 1
        progress(trace.tokens)


def _stepped(
    process: Difficulty, requests: int, tokens: int, draft_length: int, seed: int, progress: Progress
) -> AcceptanceLog:
    """The steps of all texts, one walk over each."""
    parts = []
    for block, first in enumerate(range(0, requests, BLOCK)):
        log = steps(process, requests=BLOCK, tokens=tokens, draft_length=draft_length, seed=seed, world=block)
        parts.append(_frame(log, first).filter(pl.col("request") < requests))
        progress(min(requests, first + BLOCK) * tokens)
    known = pl.DataFrame({"request": np.arange(requests)}).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in REQUESTS.items() if name != "request"
    )
    nothing, none = pl.DataFrame(schema=CURVES), pl.DataFrame(schema=MEANS)
    return AcceptanceLog(known, pl.concat(parts), nothing, none, tree=None, flags=(), notes=(), format="synthesised")


def _frame(log: StepLog, first: int) -> pl.DataFrame:
    """STEPS of a log whose requests are numbered from `first`."""
    begin = np.searchsorted(log.request, np.arange(log.requests))
    columns = {
        "request": log.request + first,
        "turn": log.turn,
        "step": np.arange(len(log.request)) - begin[log.request],
        "drafted": log.drafted,
        "accepted": log.accepted,
        "cut": log.cut,
        "batch": None,
        "seconds": None,
    }
    return pl.DataFrame(columns, schema=STEPS)
