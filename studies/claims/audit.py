"""Section 1.7: where the post does not hold, or leaves something out; each as a claim of its own."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar

from montecarlo import closed
from montecarlo.compressed import Compressed
from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3
from montecarlo.memory import weight_bytes
from montecarlo.roofline import Work
from studies.claims.claim import CONTEXT, Claim, Inputs
from studies.claims.constants import moe_intensity
from studies.exact import largest_batch

SECTION = "audit"


def claims(given: Inputs) -> Iterator[Claim]:
    """The points of the audit."""
    yield from _slope(given)
    yield from _marginal(given)
    yield from _attention(given)
    yield from _omitted(given)
    yield from _drafter(given)


def _chord(given: Inputs, batch: float, shared: int) -> float:
    """I(B + 1) - I(B) over the slope of I once every expert is read."""
    c = given.constants
    eventual = 2 * (c.top_k + shared) / (c.expert_bytes * (c.experts + shared))
    rise = moe_intensity(given, batch + 1, shared=shared) - moe_intensity(given, batch, shared=shared)
    return rise / eventual


def _slope(given: Inputs) -> Iterator[Claim]:
    c = given.constants
    origin = _chord(given, 1, 0)
    yield Claim(
        id="origin-slope",
        section=SECTION,
        statement="the intensity leaves the origin at half its eventual slope",
        quantity="I(2) - I(1) over the eventual slope, shared expert included",
        claimed=0.5,
        within=0.10,
        computed=_chord(given, 1, c.shared),
        reason=f"only without the shared expert, from B = 1 to 2 ({origin:.3f}); with it the slope starts at "
        "3.3 times the eventual one, since one expert in seven is read whatever the batch",
    )
    yield Claim(
        id="origin-slope-unshared",
        section=SECTION,
        statement="without the shared expert that slope is 0.506 (B = 1 to 2)",
        quantity="I(2) - I(1) over the eventual slope",
        claimed=0.506,
        within=0.005,
        computed=origin,
    )
    for batch, claimed in ((1, 3.26), (2, 1.52), (3, 1.04), (200, 0.97)):
        yield Claim(
            id=f"slope-{batch}",
            section=SECTION,
            quantity=f"I({batch + 1}) - I({batch}) over the eventual slope",
            statement=f"with it {claimed} times the eventual slope past B = {batch}",
            claimed=claimed,
            within=0.02,
            computed=_chord(given, batch, c.shared),
            reason="the shared expert's intensity rises first",
        )
    found = minimize_scalar(lambda batch: _chord(given, batch, c.shared), bounds=(3, 100), method="bounded")
    yield Claim(
        id="slope-least",
        section=SECTION,
        statement="with it the slope is least, 0.59 of the eventual one, at B of about 15",
        quantity="least slope over the eventual one",
        claimed=0.59,
        within=0.02,
        computed=float(found.fun),
        reason=f"at B = {found.x:.1f}",
    )


def _marginal(given: Inputs) -> Iterator[Claim]:
    def r(batch: float) -> float:
        return float(closed.ledger(given.post, given.uniform, batch, float(CONTEXT))["experts"].ratio)

    yield Claim(
        id="r-to-1",
        section=SECTION,
        statement="r of the experts goes to 1 as B goes to 0",
        quantity="r at B = 0.001",
        claimed=1,
        within=0.05,
        computed=r(1e-3),
        reason="the limit without a shared expert; with it r goes to 0",
    )
    peak = minimize_scalar(lambda batch: -r(batch), bounds=(1, 10), method="bounded")
    for name, claimed, value in (("peak", 0.914, -float(peak.fun)), ("peak-batch", 3.7, float(peak.x))):
        yield Claim(
            id=f"r-{name}",
            section=SECTION,
            statement=f"r of the experts is not monotone: its {name} is {claimed}",
            quantity="largest r over B",
            claimed=claimed,
            within=0.03,
            computed=value,
            reason="the shared expert weighs most at B = 1",
        )
    for batch, claimed in ((1, 0.847), (16, 0.812), (43, 0.572), (128, 0.153)):
        yield Claim(
            id=f"r-{batch}-experts",
            section=SECTION,
            statement=f"r of the experts is {claimed} at B = {batch}",
            quantity="B A'(B) / (A(B) + 1)",
            claimed=claimed,
            within=0.003,
            computed=r(batch),
        )


def _core(given: Inputs, context: float, queries: float = 1) -> Work:
    """V4-Flash's attention cores and indexers of all layers, without query bytes."""
    flops, moved = 0.0, 0.0
    for count, kind in given.flash.attention:
        assert isinstance(kind, Compressed)
        for part, (work, _) in enumerate(kind.kernels(1, queries, context, 1.0)):
            asked = kind.index_heads * kind.index_dim / 2 if part else kind.heads * kind.head_dim * 2.0
            flops += count * float(np.asarray(work.flops))
            moved += count * (float(np.asarray(work.bytes)) - queries * asked)
    return Work(flops, moved)


def _rows(given: Inputs, context: float) -> float:
    """Rows and window latents one token attends to, all layers."""
    return float(
        sum(
            count * (np.asarray(kind.selected(context)) + min(context, kind.window))
            for count, kind in given.flash.attention
            if isinstance(kind, Compressed)
        )
    )


def _attention(given: Inputs) -> Iterator[Claim]:
    c = given.constants
    for context, flops, moved in ((4096, 9.6, 8.9), (8192, 16.0, 14.0), (131_072, 49.0, 30.0)):
        true = _core(given, context)
        charts = Work(2 * c.pairs * context * c.layers, c.kv_bytes * context * c.layers)
        for what, claimed, of in (("flops", flops, "FLOP"), ("bytes", moved, "KV bytes")):
            plain, held = (float(np.asarray(getattr(work, what))) for work in (charts, true))
            short = held if what == "flops" else held - 64 * _rows(given, context)
            yield Claim(
                id=f"over-count-{what}-{context}",
                section=SECTION,
                statement=f"plain MLA in every layer over-counts V4-Flash's {of} {claimed:g}-fold, S = {context:,}",
                quantity="charts over the true layer mix",
                claimed=claimed,
                within=0.03,
                computed=plain / short,
                reason="21 CSA, 20 HCA and 2 window layers"
                if what == "flops"
                else f"with rows of 512 B, as the audit counts; at 576 B, as stored, {plain / held:.1f}-fold",
            )
    compressed = next(kind for _, kind in given.flash.attention if isinstance(kind, Compressed))
    pair, row = 4.0 * compressed.heads * compressed.head_dim, compressed.latent_bytes(1.0)
    yield Claim(
        id="latent-f",
        section=SECTION,
        statement="V4's latent is 512 wide in all: 131,072 FLOP per pair",
        quantity="2 n_h (512 + 512)",
        claimed=131_072,
        within=0,
        computed=pair,
        unit="FLOP",
        reason="key and value are the same vector; 512 + 64 is V3's",
    )
    yield Claim(
        id="latent-m-c",
        section=SECTION,
        statement="and still 576 B a row",
        quantity="448 fp8 + 64 bf16",
        claimed=576,
        within=0,
        computed=row,
        unit="B",
    )
    yield Claim(
        id="latent-crossover",
        section=SECTION,
        statement="so attention crosses the bf16 ridge at T = 1.235",
        claimed=1.235,
        within=0.003,
        quantity="576 x 281 / 131,072",
        computed=row * c.ridge_bf16 / pair,
        unit="queries",
    )
    csa = next(kind for _, kind in given.flash.attention if isinstance(kind, Compressed) and kind.index_top_k)
    spread = Compressed(**{**csa.__dict__, "index_spread": 1.0})
    read = [float(np.asarray(kind.kernels(1, 4, 8192, 1.0)[0][0].bytes)) for kind in (spread, csa)]
    yield Claim(
        id="csa-shared",
        section=SECTION,
        statement="CSA's rows are read once for a whole window",
        quantity="bytes of a core at T = 4, S = 8k, no row shared over all shared",
        claimed=1,
        within=0.10,
        computed=read[0] / read[1],
        reason="each query picks its own 512 rows; how many are shared is published nowhere (index_spread)",
    )


def _omitted(given: Inputs) -> Iterator[Claim]:
    moe, measured = given.flash.moe, given.measured
    assert moe is not None
    yield Claim(
        id="hash-layers",
        section=SECTION,
        statement="3 layers of V4-Flash route by token id, not by affinity",
        quantity="hash_layers",
        claimed=3,
        within=0,
        computed=moe.hash_layers,
        unit="layers",
        reason="two occurrences of a token share all experts there",
    )
    place = measured["windows"].index(8)
    uniform = measured["experts"] * (1 - (1 - measured["top_k"] / measured["experts"]) ** 8)
    yield Claim(
        id="one-axis",
        section=SECTION,
        statement="batch and draft length are one token axis",
        quantity="uniform over measured distinct experts, window of 8, Qwen3.6-35B-A3B",
        claimed=1,
        within=0.05,
        computed=uniform / measured["distinct"][place],
        reason="neighbouring tokens share experts: uniform over-counts a verify 1.6-fold",
    )
    prices = given.ideal(given.flash)
    yield Claim(
        id="weights",
        section=SECTION,
        statement="V4-Flash's weights are about 160 GB",
        quantity="weights as stored",
        claimed=160e9,
        within=0.05,
        computed=weight_bytes(given.flash),
        unit="B",
        reason="284.3e9 weights, experts at 17/32 B; they nearly fill a B200",
    )
    yield Claim(
        id="batch-30000",
        section=SECTION,
        statement="a batch of 30,000 at S = 4096 is a single B200's",
        side=">=",
        bound=30_000,
        quantity="largest batch that fits",
        computed=largest_batch(prices, CONTEXT),
        unit="sequences",
        reason="weights and KV: the chart's right end is not a single device's",
    )
    terms = closed.seconds(prices, given.uniform, 1.0, 0.0, float(CONTEXT))
    left = sum(float(terms[term]) for term in ("lm_head", "router")) / sum(float(spent) for spent in terms.values())
    yield Claim(
        id="lm-head",
        section=SECTION,
        statement="LM head and router can be left out",
        quantity="their share of a step at B = 1",
        computed=left,
        side="<=",
        bound=0.05,
        reason="they cost nothing more per draft there, so leaving them out understates drafting",
    )


def _drafter(given: Inputs) -> Iterator[Claim]:
    """The chart's drafter costs c of a step per draft, at every batch; a drafter with weights does not."""
    target = given.grouped
    prices, overlap = Ideal(target, given.device, Eagle3.of(target)), given.overlap(target)
    shares = [float(closed.ledger(prices, overlap, batch, float(CONTEXT))["drafting"].share) for batch in (1.0, 256.0)]
    yield Claim(
        id="flat-drafter",
        section=SECTION,
        statement="a draft costs the same fraction c of a step at every batch",
        quantity="c of EAGLE-3 on Qwen3-235B-A22B, B = 256 over B = 1",
        claimed=1,
        within=0.25,
        computed=shares[1] / shares[0],
        reason="its weights are read once per draft, the target's experts more and more",
    )
