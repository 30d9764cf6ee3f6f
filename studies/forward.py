"""What a serving benchmark measures, from prices in closed form: step seconds, time per output token, throughput.

    decode step s     = verify + drafting, distinct experts in the mean, context = prompt + half the output
    prompt's seconds  = n (what a step of c prompt tokens more costs more),    c = chunk, n = prompt / c
    time per token    = s / T + C n (extra seconds of a step with a chunk) / O
    throughput        = C O / (n (s + extra) + O x time per token)

for C sequences, T tokens per step and O tokens of output. Prompts share steps with decoding (chunked prefill): on
average C T / O requests end and begin in a step, so each output token carries the same prefill whatever the draft
length, and what a step gains shrinks in throughput. A chunk is what a step has room for:
c = min(prompt, 8,192 - C (k + 1)), vLLM's `max_num_batched_tokens` of a server (vllm/engine/arg_utils.py). Steps of
more than that, queues and the drafter's own prefill are left out. Several devices are one with their bandwidth,
peaks and memory together (an even split; fixed times are not divided, communication is inside them).
"""

from dataclasses import dataclass, fields

import numpy as np

from montecarlo import closed
from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.drafter import Drafter
from montecarlo.errors import InputError
from montecarlo.hardware import Hardware
from montecarlo.overlap import Overlap
from montecarlo.prefill import mixed_seconds
from montecarlo.roofline import Floats
from montecarlo.target import Target
from montecarlo.terms import Terms
from traces import profiles

BUDGET = 8192  # tokens of a step; vLLM's max_num_batched_tokens for an API server on a large device
USUAL_CONTEXT = 1000.0  # tokens; where lengths are not known


@dataclass(frozen=True)
class Deployment:
    """A target on hardware (all devices of it together) with a drafter; `overlap` is None for a dense target."""

    target: Target
    hardware: Hardware
    drafter: Drafter
    overlap: Overlap | None


@dataclass(frozen=True)
class Load:
    """Rows of traffic, arrays [rows]: sequences decoding, draft length, tokens per step, prompt and output [tokens].

    prompt and output are NaN where they are not known: then no prompt is priced.
    """

    sequences: Floats
    draft_length: Floats
    tokens_per_step: Floats
    prompt: Floats
    output: Floats

    @property
    def context(self) -> Floats:
        """Mean context of a decoding sequence [tokens]."""
        return np.where(np.isnan(self.prompt), USUAL_CONTEXT, self.prompt + self.output / 2)

    def rows(self, kept: np.ndarray) -> "Load":
        """Some of the rows."""
        return Load(*(getattr(self, field.name)[kept] for field in fields(self)))


@dataclass(frozen=True)
class Times:
    """[worlds, rows]: seconds of a decode step, seconds per output token of a sequence, tokens per second of all."""

    step: Floats
    token: Floats
    rate: Floats


def together(hardware: Hardware, devices: int) -> Hardware:
    """`devices` of them as one."""
    return Hardware(**{field.name: devices * getattr(hardware, field.name) for field in fields(hardware)})


def overlap(name: str, target: Target) -> Overlap | None:
    """Distinct experts of `target` (None: dense): `uniform`, or a profile of measured overlap carried over."""
    if target.moe is None:
        return None
    if name == "uniform":
        return Overlap.uniform(target.moe.experts, target.moe.top_k)
    known = [shipped for shipped in profiles.shipped() if profiles.load(shipped).kind == "overlap"]
    if name not in known and not name.endswith(".toml"):
        raise InputError(
            f"routing {name!r} is no profile of measured overlap; allowed: {', '.join(['uniform', *known])}"
        )
    profile = profiles.load(name)
    if profile.kind != "overlap":
        raise InputError(f"routing profile {name} describes {profile.kind}, and prices in closed form need overlap")
    return profiles.overlap(profile, experts=target.moe.experts, top_k=target.moe.top_k)


def times(given: Deployment, load: Load, worlds: list[Terms] | None) -> Times:
    """Times of all rows in every world; `worlds` None: at ideal prices, one world."""
    prices = Ideal(given.target, given.hardware, given.drafter)
    if worlds is not None:
        prices = Achieved(given.target, given.hardware, given.drafter, Terms.stack(worlds, axes=1))
    at = (load.sequences, load.draft_length, load.context)
    base = sum(closed.seconds(prices, given.overlap, at[0], 0.0, at[2]).values())
    verify = sum(closed.seconds(prices, given.overlap, *at).values())
    step = np.atleast_2d(np.asarray(verify + prices.draft_seconds(*at, np.asarray(base)), np.float64))
    plain = step / load.tokens_per_step
    known = ~np.isnan(load.prompt)
    if not known.any():
        return Times(step, plain, load.sequences / plain)
    chunk = np.where(known, _chunk(load), 1.0)
    extra = np.atleast_2d(_extra(prices, given.overlap, load, chunk))
    chunks, output = np.where(known, load.prompt / chunk, 0.0), np.where(known, load.output, 1.0)
    token = plain + load.sequences * chunks * extra / output
    return Times(step, token, load.sequences * output / (chunks * (step + extra) + output * token))


def _chunk(load: Load) -> Floats:
    """Prompt tokens of a step that carries some."""
    room = np.maximum(BUDGET - load.sequences * (load.draft_length + 1), 1.0)
    return np.minimum(load.prompt, room)


def _extra(prices: Ideal, overlap: Overlap | None, load: Load, chunk: Floats) -> Floats:
    """What a step with `chunk` prompt tokens of one sequence costs more than one without [s]."""
    window = load.draft_length + 1
    seen = np.where(np.isnan(load.prompt), 0.0, (load.prompt - chunk) / 2)  # the mean over a prompt's chunks
    each, shared = np.zeros(len(window)), np.zeros(len(window))
    if overlap is not None:  # distinct counts sequences x n(window): the chunk's n(c) are so many sequences more
        more = load.sequences + overlap.tokens(chunk) / overlap.tokens(window)
        each, shared = overlap.distinct(load.sequences, window), overlap.distinct(more, window)
    at = (load.sequences, load.draft_length, load.context)
    mixed = mixed_seconds(prices, *at, chunk, seen, shared)
    return mixed - mixed_seconds(prices, *at, 0.0, 0.0, each)
