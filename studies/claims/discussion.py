"""What was said around the post, as predicates over our prices: layer by layer on a B200, overlap as measured.

Acceptance 0.75 and a drafter of 0.10 of a step per draft, the post's, unless a claim says otherwise.
"""

from collections.abc import Iterator

import numpy as np

from montecarlo import closed
from montecarlo.acceptance import Acceptance
from montecarlo.overlap import Overlap
from montecarlo.target import Target
from studies.claims.claim import ALPHA, CONTEXT, Claim, Inputs, best
from studies.exact import largest_batch

SECTION = "discussion"
LAW = Acceptance.iid(ALPHA)
LENGTHS = np.arange(17)


def claims(given: Inputs) -> Iterator[Claim]:
    """Statements of the discussion, one by one."""
    yield from _overlap(given)
    yield from _throughput(given)
    yield from _free(given)
    yield from _attention(given)
    yield from _worth(given)


def _overlap(given: Inputs) -> Iterator[Claim]:
    measured, numbers = given.overlap(given.flash), given.measured
    moe = given.flash.moe
    assert moe is not None
    assert measured is not None

    def shared(batch: float) -> float:
        return 1 - float(measured.distinct(batch, 1)) / (batch * moe.top_k)

    yield Claim(
        id="small-batches-overlap",
        section=SECTION,
        statement="small batches do not overlap only if the batch is really tiny",
        quantity="share of expert reads saved by overlap at B = 8",
        computed=shared(8),
        side=">",
        bound=0.10,
        reason=", ".join(f"{100 * shared(at):.0f} % at B = {at}" for at in (2, 4, 8, 16))
        + " (popularity of Qwen3.6-35B-A3B)",
    )
    place = numbers["windows"].index(8)
    uniform = Overlap.uniform(numbers["experts"], numbers["top_k"])
    off = float(uniform.distinct(1, 8)) / numbers["distinct"][place]
    yield Claim(
        id="uniform-routing",
        section=SECTION,
        statement="uniform routing is a good assumption",
        claimed=1,
        within=0.10,
        quantity="uniform over measured distinct experts, window of 8",
        computed=off,
        reason="Qwen3.6-35B-A3B: 35.4 measured; gpt-oss-20b: 21.0 against 12.9",
    )


def _throughput(given: Inputs) -> Iterator[Claim]:
    prices, overlap = given.ideal(given.flash), given.overlap(given.flash)
    most = largest_batch(prices, CONTEXT, int(LENGTHS[-1]))
    batches = [batch for batch in (2**power for power in range(20)) if batch < most] + [most]
    surface = closed.grid(prices, overlap, batches, [CONTEXT], LENGTHS)
    gains = surface.speedup(LAW.tokens_per_step(LENGTHS))[:, 0]
    undrafted = np.asarray(batches) / surface.base[:, 0, 0]
    device = undrafted[:, None] * gains
    at, length = np.unravel_index(np.argmax(device), device.shape)
    yield Claim(
        id="off-for-throughput",
        section=SECTION,
        statement="turn it off when maximising throughput",
        quantity=f"best length at the largest batch that fits (B = {most:,})",
        claimed=0,
        within=0,
        computed=LENGTHS[np.argmax(gains[-1])],
        unit="tokens",
        reason="memory ends the batch before compute does: the highest throughput is at "
        f"B = {batches[at]:,} drafting {LENGTHS[length]} ahead, "
        f"{device.max() / undrafted.max():.2f} times the highest without",
    )
    doubling = undrafted[1:] / undrafted[:-1]
    ratio = (doubling / gains.max(axis=1)[:-1])[:-1]  # the last pair is no doubling
    worst = int(np.argmin(ratio))
    yield Claim(
        id="increase-the-batch",
        section=SECTION,
        statement="increase the batch instead, until KV traffic limits",
        quantity="throughput gained by doubling the batch over that gained by drafting, least over batches",
        computed=float(ratio.min()),
        side=">=",
        bound=1,
        reason=f"least at B = {batches[worst]:,}: doubling gains {100 * (doubling[worst] - 1):.0f} %, "
        f"drafting {100 * (gains.max(axis=1)[worst] - 1):.0f} %; doubling slows every user besides",
    )


def _verify_cost(given: Inputs, target: Target, batch: float, length: float) -> float:
    """Seconds of a verify over those of an undrafted step."""
    prices, overlap = given.ideal(target), given.overlap(target)
    steps = [sum(closed.seconds(prices, overlap, batch, k, float(CONTEXT)).values()) for k in (length, 0.0)]
    return float(steps[0] / steps[1])


def _free(given: Inputs) -> Iterator[Claim]:
    lunch = _verify_cost(given, given.flash, 1, 3)
    yield Claim(
        id="free-lunch",
        section=SECTION,
        statement="a lunch that is free",
        quantity="verify of 3 drafts over an undrafted step, B = 1",
        computed=lunch,
        side="<=",
        bound=1.05,
        reason="V4-Flash reads more experts for every draft; on a dense model it is free: "
        f"{_verify_cost(given, given.dense, 1, 3):.3f}",
    )
    costs = {batch: _verify_cost(given, given.dense, batch, 3) for batch in (1, 32, 64, 96, 128, 256)}
    yield Claim(
        id="rejected-free-dense",
        section=SECTION,
        statement="rejected tokens cost nothing on a dense model",
        quantity="verify of 3 drafts over an undrafted step, Llama-3-70B, most over B = 1 to 256",
        computed=max(costs.values()),
        side="<=",
        bound=1.05,
        reason="while the weights are memory-bound, 4 B under the ridge of 281: "
        + ", ".join(f"{cost:.2f} at B = {batch}" for batch, cost in costs.items()),
    )


def _attention(given: Inputs) -> Iterator[Claim]:
    dense = given.ideal(given.dense)

    def gain(target: Target, batch: int, context: int) -> float:
        return best(given.ideal(target), given.overlap(target), LAW, batch, context, 16)[1]

    long = closed.ledger(dense, None, 256.0, 32_768.0)["attention"]
    yield Claim(
        id="gqa-high-batch",
        section=SECTION,
        statement="GQA keeps paying at high batch",
        side=">",
        bound=1.1,
        quantity="speedup of the best length, Llama-3-70B, B = 256, S = 32k",
        computed=gain(given.dense, 256, 32_768),
        reason=f"its attention ({100 * float(long.share):.0f} % of the step) is memory-bound to T = 35, "
        "so drafts ride along; prices only: that batch needs several devices",
    )
    rise = {
        target: gain(target, 64, 131_072) - gain(target, 64, 1024)
        for target in (given.grouped, given.flash, given.hybrid)
    }
    yield Claim(
        id="long-sequences",
        section=SECTION,
        statement="long sequences amortise attention, less on sparse or hybrid models",
        quantity="rise of the speedup from S = 1k to 128k at B = 64: with GQA less the larger of compressed and hybrid",
        computed=rise[given.grouped] - max(rise[given.flash], rise[given.hybrid]),
        side=">",
        bound=0,
        reason=f"{rise[given.grouped]:+.2f} on Qwen3-235B-A22B, {rise[given.flash]:+.2f} on V4-Flash, "
        f"{rise[given.hybrid]:+.2f} on Qwen3.6-35B-A3B",
    )


def _worth(given: Inputs) -> Iterator[Claim]:
    prices, overlap = given.ideal(given.flash), given.overlap(given.flash)
    length, gain = best(prices, overlap, LAW, 64, CONTEXT)
    emitted = float(LAW.tokens_per_step(np.asarray([length]))[0])
    work = [float(closed.flops(prices, overlap, 64.0, k, float(CONTEXT))) / 64 for k in (0.0, float(length))]
    base = float(closed.grid(prices, overlap, [64], [CONTEXT], [0]).base[0, 0, 0])
    extra, saved = work[1] / emitted - work[0], base - base / gain
    plain = work[0] / base
    yield Claim(
        id="unfavourable-rate",
        section=SECTION,
        statement="it buys interactivity with FLOP at an unfavourable rate",
        quantity="extra FLOP per second saved, over the FLOP a sequence uses in a second undrafted (B = 64)",
        computed=extra / saved / plain,
        side=">",
        bound=1,
        reason=f"{extra / 1e9:.1f} GFLOP more per token ({100 * extra / work[0]:.0f} %) "
        f"save {1e6 * saved:.0f} us of it ({100 * saved / base:.0f} %): "
        f"{extra / saved / 1e12:.2f} TFLOP per second saved, drafter's own left out",
    )
    every = [best(prices, overlap, LAW, 2**power, CONTEXT)[1] for power in range(11)]
    better = max(best(prices, overlap, Acceptance.iid(0.9), 2**power, CONTEXT)[1] for power in range(11))
    yield Claim(
        id="two-to-three",
        section=SECTION,
        statement="speculative decoding is 2-3x faster",
        quantity="largest speedup over B = 1 to 1,024",
        computed=max(every),
        side=">=",
        bound=2,
        unit="x",
        reason=f"{min(every):.2f} to {max(every):.2f} over batches; {better:.2f} at best with alpha = .90",
    )
