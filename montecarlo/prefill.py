"""Prefill: the price of prompt tokens in a step, and the steady state of a device that prefills and decodes.

A step of B sequences and windows of T = k + 1 tokens may prefill c tokens of a prompt, of which s are done already:

    matrices      B T + c tokens at once; LM head for the B T and, where there is a chunk, one more
    attention     every prompt token sees those before it: c (s + (c + 1) / 2) pairs; s + c keys read, c written

Conservation. A request of P prompt and O output tokens decodes for n = (O - 1) / tokens_per_step steps: its first
token comes with the end of its prefill. So of B decoding sequences B / n finish in a step, and as many prompts must
be prefilled. Their tokens queue for at most `budget` C a step (Lindley's recursion):

    x = min(W + A, C),    W' = W + A - x,    A: prompts of Poisson(B / n) requests,    E x = B P / n

    step = E s(x),    throughput = (B / n) O / step,    time per output token = step / tokens_per_step

Prefill is the same work whatever the draft length: with G seconds of it per request, a request takes n s(0) / B + G of
the device. Speculation divides n alone, which is why a gain in steps shrinks in throughput.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from montecarlo.compressed import MLA
from montecarlo.cost import Ideal
from montecarlo.errors import InputError
from montecarlo.hardware import BYTES
from montecarlo.roofline import Floats, Kernels, Work
from montecarlo.target import AttentionKind

BINS = 32  # of the backlog, in one budget
HELD = 4096  # bins held: a backlog of 128 steps
SETTLED, LONGEST = 1e-7, 3_000  # change of the backlog's distribution in a step, and steps at most
UNSERVED = 0.02  # share of the prompts that may be lost in a backlog too long to hold
FULLEST = 0.98  # load of the budget that clients can bring about


def mixed_seconds(
    prices: Ideal,
    batch: ArrayLike,
    draft_length: ArrayLike,
    context: ArrayLike,
    chunk: ArrayLike,
    seen: ArrayLike,
    distinct: ArrayLike,
) -> Floats:
    """Seconds of a verify of `batch` sequences that prefills `chunk` tokens of a prompt after `seen`; shapes broadcast.

    distinct: distinct experts of a layer, decoding and prefilling together. batch = 0: prefill alone.
    """
    window = np.add(draft_length, 1.0)
    decoded, prompt = np.multiply(batch, window), np.greater(chunk, 0).astype(np.float64)
    tokens = np.add(decoded, chunk)

    def cores(kind: AttentionKind) -> Kernels:
        return prices.core(kind, batch, window, context) + _prefilled(prices, kind, chunk, seen)

    found = prices.layers(tokens, cores, np.add(decoded, prompt))
    found += prices.fixed(np.add(batch, prompt), np.minimum(draft_length, 1.0), tokens)
    experts = prices.moe_layers * prices.moe_seconds(tokens, distinct)
    return np.asarray(sum((kernel.seconds(prices.bandwidth) for kernel in found), experts), np.float64)


def _prefilled(prices: Ideal, kind: AttentionKind, chunk: ArrayLike, seen: ArrayLike) -> Kernels:
    """Attention of `chunk` tokens after `seen`: FLOP at the mean context, keys read once, the new ones written.

    MLA expands its keys here whatever its `form` in decoding. A window that the chunk crosses is taken at its mean.
    """
    if isinstance(kind, MLA):
        kind = replace(kind, form="mha")
    stored, asked = BYTES[prices.target.kv_format], np.asarray(chunk, np.float64)
    after = np.add(seen, asked)
    counted = kind.kernels(np.greater(asked, 0), asked, np.add(seen, (asked + 1) / 2), stored)
    read = kind.kernels(np.greater(asked, 0), 1.0, after, stored)
    written = kind.held_bytes(after, 1, stored) - kind.held_bytes(np.asarray(seen, np.float64), 1, stored)
    return tuple(
        (Work(work.flops, np.add(one.bytes, written if first else 0.0)), arithmetic)
        for first, (work, arithmetic), (one, _) in zip((True, False), counted, read, strict=False)
    )


def prefill_seconds(prices: Ideal, prompt: int, budget: int, distinct: ArrayLike) -> float:
    """Seconds to prefill `prompt` tokens alone on a device, `budget` tokens a step; `distinct` experts in each."""
    seen = np.arange(0, prompt, budget, dtype=np.float64)
    chunks = np.minimum(budget, prompt - seen)
    return float(np.sum(mixed_seconds(prices, 0, 0, 0, chunks, seen, distinct)))


@dataclass(frozen=True)
class Traffic:
    """Prompts [requests] (tokens each, equally likely), mean output [tokens], tokens per step and sequence."""

    prompts: Floats
    output: float
    tokens_per_step: float

    @classmethod
    def of(cls, *, prompts: ArrayLike, output: float, tokens_per_step: float = 1.0) -> "Traffic":
        """Build it; raises InputError for lengths that cannot be."""
        lengths = np.atleast_1d(np.asarray(prompts, np.float64))
        if lengths.ndim != 1 or not len(lengths) or not (np.isfinite(lengths).all() and lengths.min() >= 1):
            raise InputError("prompts must be lengths of at least 1 token")
        if not (np.isfinite(output) and output > 1):
            raise InputError(f"output is {output} tokens; it must be above 1: the first comes with the prefill")
        if not (np.isfinite(tokens_per_step) and tokens_per_step >= 1):
            raise InputError(f"tokens_per_step is {tokens_per_step}; a step emits at least 1")
        return cls(lengths, float(output), float(tokens_per_step))

    @property
    def steps(self) -> float:
        """Mean decode steps of a request."""
        return (self.output - 1) / self.tokens_per_step


@dataclass(frozen=True)
class Steady:
    """Means over steps: seconds of a step, share with prefill, tokens/s of the device, seconds per output token.

    A sequence gets its tokens of a step at once, so seconds of steps are what benchmarks call inter-token times.
    """

    step_seconds: float
    median_step_seconds: float
    prefill_share: float
    tokens_per_second: float
    seconds_per_token: float


def served(traffic: Traffic, batch: float, budget: float) -> tuple[Floats, Floats]:
    """(prefill tokens of a step [BINS + 1], the share of steps with so many).

    Raises InputError where prompts come faster than `budget` tokens a step can prefill them, or nearly so and in
    prompts of many budgets.
    """
    arrivals, unit = batch / traffic.steps, budget / BINS
    load = arrivals * float(traffic.prompts.mean()) / budget
    if not load < 1:
        raise InputError(
            f"{batch:g} sequences bring {load * budget:,.0f} prompt tokens a step and {budget:,.0f} can be prefilled; "
            "take fewer sequences or a larger budget"
        )
    # Steps in which the backlog forgets where it began (heavy traffic): P^2 / (P C (1 - load)^2).
    if np.mean(traffic.prompts**2) / (traffic.prompts.mean() * budget * (1 - load) ** 2) > LONGEST:
        raise _too_long(traffic, load, budget)
    bins = traffic.prompts / unit
    low = np.floor(bins).astype(np.int64)
    size = max(HELD, 1 << int(np.ceil(np.log2(4 * (low.max() + BINS)))))
    prompt = np.bincount(low, low + 1 - bins, size) + np.bincount(low + 1, bins - low, size)
    law = np.fft.rfft(prompt / len(bins))
    waiting = np.zeros(size)
    waiting[0] = 1.0
    for _ in range(LONGEST):
        there = np.maximum(np.fft.irfft(np.fft.rfft(waiting) * np.exp(arrivals * (law - 1)), size), 0.0)
        left = np.concatenate([[there[: BINS + 1].sum()], there[BINS + 1 :], np.zeros(BINS)])
        change = np.abs(left - waiting).sum()
        waiting = left / left.sum()
        if change < SETTLED:
            break
    shares = np.append(there[:BINS], there[BINS:].sum()) / there.sum()
    tokens = np.arange(BINS + 1) * unit
    if abs(tokens @ shares / (load * budget) - 1) > UNSERVED:
        raise _too_long(traffic, load, budget)
    return np.asarray(tokens, np.float64), np.asarray(shares, np.float64)


def _too_long(traffic: Traffic, load: float, budget: float) -> InputError:
    return InputError(
        f"prompts of up to {traffic.prompts.max():,.0f} tokens at {load:.0%} of a budget of {budget:,.0f} a step pile "
        "up too long to be followed; take a larger budget or fewer sequences"
    )


def chunked(traffic: Traffic, batch: float, budget: float, seconds: Callable[[Floats], Floats]) -> Steady:
    """`batch` decoding sequences that share their steps with prefill of at most `budget` tokens.

    seconds: of a step with x prefill tokens [tokens], as from `mixed_seconds`.
    """
    tokens, shares = served(traffic, batch, budget)
    each = np.asarray(seconds(tokens), np.float64)
    order = np.argsort(each, kind="stable")
    median = each[order][np.searchsorted(np.cumsum(shares[order]), 0.5)]
    return _steady(traffic, batch, float(each @ shares), float(median), float(1 - shares[0]))


def disaggregated(traffic: Traffic, batch: float, step_seconds: float, request_seconds: float) -> Steady:
    """`batch` sequences that only decode, prefilled on other devices in `request_seconds` of one device each.

    tokens_per_second is per device: a decoding device needs request_seconds x requests/s devices that prefill.
    """
    alone = _steady(traffic, batch, step_seconds, step_seconds, 0.0)
    prefilling = request_seconds * alone.tokens_per_second / traffic.output
    return replace(alone, tokens_per_second=alone.tokens_per_second / (1 + prefilling))


def _steady(traffic: Traffic, batch: float, step: float, median: float, share: float) -> Steady:
    emitted = batch / traffic.steps * traffic.output
    return Steady(step, median, share, emitted / step, step / traffic.tokens_per_step)


def decoding(traffic: Traffic, clients: float, budget: float) -> float:
    """How many of `clients` requests, each followed by the next at once, decode while the others are prefilled.

        B = clients / (1 + chunks / n),    chunks = 1 + (P / C - 1)+

    at most what fills the budget to FULLEST. (Waiting for other prompts is left out: few clients wait for few.)
    """
    chunks = 1 + float(np.maximum(traffic.prompts / budget - 1, 0).mean())
    fullest = FULLEST * budget * traffic.steps / float(traffic.prompts.mean())
    return min(clients / (1 + chunks / traffic.steps), fullest)
