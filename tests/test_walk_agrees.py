"""The walk against the surface, the exact law and a published trace, where these hold."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from montecarlo import closed_loop, exact, routing, surface, windows
from montecarlo.acceptance import Acceptance
from montecarlo.attention import Attention
from montecarlo.closed_loop import Batches
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.ffn import MoE
from montecarlo.keys import Stream, key
from montecarlo.routing import Routing
from montecarlo.surface import Recording
from montecarlo.target import Target
from montecarlo.text import Text
from montecarlo.walk import Steps, walk
from studies import catalog
from tests.statistics import matches, mean_and_error, refused, within
from traces.fit import power_popularity

# Acceptance by depth, long texts of one length.
DEPTH, PER_REQUEST, GROUPS = 3, 400, 16
EXPERTS, TOP_K = 40, 3
LAW = Acceptance.of(survival=[0.7, 0.45, 0.3])


TOPICAL = Routing.of(popularity=power_popularity(1.0, 32)[None], top_k=4, concentration=20.0, stickiness=0.3)


@cache
def topical_text() -> Recording:
    """64 requests, topical and sticky."""
    drawn = routing.sample(TOPICAL, key(0, 0, Stream.TEXT), jnp.full(64, PER_REQUEST), tokens=PER_REQUEST, requests=64)
    rows = np.asarray(drawn).transpose(2, 0, 3, 1).reshape(64 * PER_REQUEST, 1, 4).astype(np.uint8)
    return Recording.of(Text.of(experts=rows, start=np.arange(0, len(rows) + 1, PER_REQUEST)), 32)


def uniform_text(requests: int) -> Recording:
    rng = np.random.default_rng(1)
    ids = np.argsort(rng.random((requests * PER_REQUEST, 1, EXPERTS), dtype=np.float32), axis=-1)[..., :TOP_K]
    return Recording.of(Text.of(experts=ids.astype(np.uint8), start=np.arange(0, len(ids) + 1, PER_REQUEST)), EXPERTS)


def looped(recording: Recording, slots: int, tail: str, world: int = 0) -> tuple[Steps, Batches, np.ndarray]:
    """A walk with runs by depth, dealt to slots of two requests each, and its distinct experts [batches]."""
    order = np.random.default_rng((3, world)).permutation(recording.text.requests)
    tokens = len(recording.text.experts)
    run = np.sum(np.random.default_rng((2, world)).random((tokens, 1)) < LAW.survival(DEPTH), axis=1)
    steps = walk(recording.text.start[: recording.text.requests], recording.text.lengths, run, DEPTH, order=order)
    dealt = closed_loop.batches(steps, slots, 2, seed=0, world=world)
    rows = windows.rows(steps, recording.text, tail=tail, seed=0, world=world)
    return steps, dealt, windows.distinct(*windows.held(recording, rows), dealt.at).mean(axis=1)


def whole(steps: Steps, dealt: Batches, distinct: np.ndarray) -> tuple[float, float]:
    """Mean and error over groups of the distinct experts of batches that no text's end has clipped."""
    unclipped = np.all(steps.drafted[dealt.at] == DEPTH, axis=1)
    groups = np.repeat(np.arange(len(dealt.steps)), np.diff(dealt.begin))
    sums = np.bincount(groups[unclipped], distinct[unclipped]) / np.bincount(groups[unclipped])
    mean, error = mean_and_error(sums)
    return float(mean), float(error)


@pytest.mark.parametrize("tail", ["text", "anywhere"])
@pytest.mark.parametrize("slots", [1, 4])
def test_independent_tokens_have_the_exact_mean(slots: int, tail: str) -> None:
    """B (k+1) independent tokens of the dynamic programme; one token fewer is refused."""
    mean, error = whole(*looped(uniform_text(2 * slots * GROUPS), slots, tail))
    within(mean, float(exact.mean_distinct(EXPERTS, TOP_K, slots * (DEPTH + 1))), error, largest=0.05)
    refused(within, mean, float(exact.mean_distinct(EXPERTS, TOP_K, slots * (DEPTH + 1) - 1)), error, largest=0.05)


@cache
def on_the_surface(slots: int, tail: str) -> tuple[np.ndarray, np.ndarray]:
    """Distinct experts by draft length and their errors, from random windows in the same requests."""
    recording = topical_text()
    survival = LAW.survival(DEPTH)
    given = {"seed": 0, "requests": 64, "batches": (slots,), "tail": tail}
    worlds = [
        surface.replayed(recording, survival, world=world, step=0, **given).mean(axis=(1, 2)) for world in range(200)
    ]
    return mean_and_error(np.stack(worlds))


@pytest.mark.parametrize(("slots", "tail"), [(1, "request"), (1, "text"), (4, "request"), (4, "anywhere")])
def test_the_walk_touches_what_the_surface_says(slots: int, tail: str) -> None:
    """Topical, sticky text and runs by depth; the surface of one draft fewer, or of another tail, is refused."""
    means = []
    for world in range(24):  # other runs, partners and tails each time; errors are given the text, as the surface's
        steps, dealt, distinct = looped(topical_text(), slots, tail, world)
        means.append(distinct[np.all(steps.drafted[dealt.at] == DEPTH, axis=1)].mean())
    mean, error = mean_and_error(np.array(means))
    expected, its_error = on_the_surface(slots, tail)
    both = float(np.hypot(error, its_error[DEPTH]))
    within(float(mean), expected[DEPTH], both, largest=0.04)
    refused(within, float(mean), expected[DEPTH - 1], both, largest=0.04)
    if slots == 1:
        other = on_the_surface(slots, "anywhere")[0][DEPTH]
        refused(within, float(mean), other, both, largest=0.04)


@pytest.mark.parametrize(("length", "published", "by_request"), [(1, 6.24, 6.27), (3, 9.31, 9.39), (7, 12.88, 13.01)])
def test_the_real_trace_is_walked_with_its_published_windows(
    gpt_oss_20b: Text, length: int, published: float, by_request: float
) -> None:
    """gpt-oss-20b, batch 1, whole windows: weighted by tokens, as steps fall; the request-weighted table is refused."""
    recording, means = Recording.of(gpt_oss_20b, 32), []
    for world in range(4):
        run = np.random.default_rng(world).geometric(0.5, len(gpt_oss_20b.experts)) - 1
        steps = walk(gpt_oss_20b.start[: gpt_oss_20b.requests], gpt_oss_20b.lengths, run, length)
        dealt = closed_loop.batches(steps, 1, 1, seed=0, world=world)
        rows = windows.rows(steps, gpt_oss_20b, tail="text", seed=0, world=world)
        distinct = windows.distinct(*windows.held(recording, rows), dealt.at)
        means.append(distinct[steps.drafted[dealt.at[:, 0]] == length].mean())
    mean, error = mean_and_error(np.array(means))
    matches(float(mean), published, float(error), relative=0.003)
    refused(matches, float(mean), by_request, float(error), relative=0.003)


def target() -> Target:
    """A small target whose attention sees 16 tokens, so a context makes no difference."""
    ffn = MoE.of(experts=32, top_k=4, intermediate=512)
    attention = Attention.of(heads=8, kv_heads=8, head_dim=64, window=16)
    return Target.of(hidden=512, vocabulary=1000, attention=((1, attention),), ffn=((1, ffn),))


@pytest.mark.parametrize("slots", [1, 4])
def test_the_speedup_is_the_surface_s_where_it_is_exact(slots: int) -> None:
    """Ideal prices, long texts, acceptance by depth; one token per step less is refused."""
    recording = topical_text()
    prices = Ideal(target(), catalog.hardware("h100-sxm"), Flat.of(fraction=0.1))
    spent, step = {}, np.zeros(1)
    for length in (0, DEPTH):
        tokens = len(recording.text.experts)
        run = np.sum(np.random.default_rng(4).random((tokens, 1)) < LAW.survival(DEPTH), axis=1)
        steps = walk(recording.text.start[: recording.text.requests], recording.text.lengths, run, length)
        dealt = closed_loop.batches(steps, slots, 2, seed=0, world=0)
        rows = windows.rows(steps, recording.text, tail="request", seed=0, world=0)
        distinct = windows.distinct(*windows.held(recording, rows), dealt.at)
        seconds = closed_loop.verify_seconds(prices, steps, dealt, 100, distinct)
        step = dealt.mean(seconds) if length == 0 else step
        seconds = seconds + closed_loop.draft_seconds(prices, steps, dealt, 100, step)
        spent[length] = closed_loop.durations(dealt, seconds)
    found = closed_loop.odds(spent[0][None], spent[DEPTH][None])
    survival = LAW.survival(DEPTH)
    given = {"seed": 0, "requests": 64, "batches": (slots,), "tail": "request"}
    counts = [surface.replayed(recording, survival, world=w, step=0, **given)[:, :, 0] for w in range(200)]
    moe = np.stack([prices.moe_seconds(slots * (np.arange(DEPTH + 1)[:, None] + 1.0), c).mean(axis=1) for c in counts])
    verify = (moe + prices.other_seconds(slots, np.arange(DEPTH + 1), 100)).mean(axis=0)
    drafting = prices.draft_seconds(slots, DEPTH, 100, verify[0])
    expected = float(LAW.tokens_per_step(DEPTH) * verify[0] / (verify[DEPTH] + drafting))
    within(found.speedup, expected, found.error, largest=0.03 * expected)
    fewer = expected * (1 - LAW.survival(DEPTH)[-1] / LAW.tokens_per_step(DEPTH))
    refused(within, found.speedup, fewer, found.error, largest=0.03 * expected)
