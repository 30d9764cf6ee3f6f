"""Section 1.2: the constants, and what follows from them alone."""

from collections.abc import Iterator
from functools import partial

from montecarlo.compressed import Compressed
from montecarlo.hardware import BYTES
from studies.claims.claim import Claim, Inputs, crossing

SECTION = "constants"


def moe_intensity(given: Inputs, tokens: float, expert_bytes: float | None = None, shared: int | None = None) -> float:
    """I(B) = 2 B (k + s) / (b (A(B) + s)), FLOP/B of the experts."""
    c = given.constants
    per_weight = c.expert_bytes if expert_bytes is None else expert_bytes
    always = c.shared if shared is None else shared
    active = float(given.uniform.distinct(tokens, 1))
    return 2 * tokens * (c.top_k + always) / (per_weight * (active + always))


def claims(given: Inputs) -> Iterator[Claim]:
    """Every constant of the post that another source or a formula can check."""
    c, device, mla = given.constants, given.device, given.mla
    hidden, moe = given.flash.hidden, given.flash.moe
    assert moe is not None
    claim = partial(Claim, section=SECTION)
    yield claim(
        id="knee",
        statement="the experts' knee E/k is about 43",
        quantity="E / k",
        claimed=43,
        within=0.01,
        computed=moe.experts / moe.top_k,
        unit="tokens",
        reason="256 experts, 6 per token",
    )
    for stored, claimed, peak in (("bf16", 281, device.bf16), ("fp8", 563, device.fp8), ("fp4", 1125, device.fp4)):
        yield claim(
            id=f"ridge-{stored}",
            statement=f"B200: {stored} ridge {claimed} FLOP/B",
            quantity="peak / bandwidth",
            claimed=claimed,
            within=0.002,
            computed=peak / device.bandwidth,
            unit="FLOP/B",
            reason="dense peaks over 8 TB/s, rounded in the post",
        )
    mxfp4 = BYTES["mxfp4"]
    yield claim(
        id="b-charts",
        statement="charts: an MXFP4 weight is 0.53 B",
        quantity="(4 + 8/32) bits",
        claimed=0.53,
        within=0.005,
        computed=mxfp4,
        unit="B",
        reason="4 bits and an 8-bit scale per 32 weights are 0.53125 B",
    )
    yield claim(
        id="b-text",
        statement="text: an MXFP4 weight is 0.5 B",
        quantity="(4 + 8/32) bits",
        claimed=0.5,
        within=0.005,
        computed=mxfp4,
        unit="B",
        reason="the text leaves out the scales; every chart has them",
    )
    window = next(kind for _, kind in given.flash.attention if isinstance(kind, Compressed) and not kind.ratio)
    yield claim(
        id="w-attn",
        statement="attention projections: 107e6 weights a layer",
        quantity="q, kv and o of V4-Flash",
        claimed=c.attention_weights,
        within=0.001,
        computed=window.parameters(hidden),
        unit="weights",
        reason="low-rank queries, one latent, grouped low-rank outputs; indexer and compressors left out",
    )
    yield claim(
        id="w-e",
        statement="an expert has 25.2e6 weights",
        quantity="3 x hidden x intermediate",
        claimed=c.expert_weights,
        within=0.002,
        computed=moe.expert(hidden),
        unit="weights",
        reason="3 x 4096 x 2048 = 25,165,824; the charts round",
    )
    width = mla.kv_rank + mla.rope
    m_c, m_q = width * BYTES["fp8"], mla.heads * width * 2.0
    f = 2 * mla.heads * (2 * mla.kv_rank + mla.rope)
    yield claim(
        id="m-c",
        statement="576 B of KV per token of context",
        quantity="(d_c + d_r) b_kv",
        claimed=c.kv_bytes,
        within=0,
        computed=m_c,
        unit="B",
        reason="512 + 64 elements in fp8; V4's own layout has as many (448 fp8, 64 bf16)",
    )
    yield claim(
        id="m-q",
        statement="73,728 B of queries per query token",
        quantity="n_h (d_c + d_r) b_q",
        claimed=73_728,
        within=0,
        computed=m_q,
        unit="B",
        reason="64 heads x 576 x bf16",
    )
    yield claim(
        id="m-q-m-c",
        statement="m_q / m_c = 128",
        quantity="m_q / m_c",
        claimed=128,
        within=0,
        computed=m_q / m_c,
        reason="so T queries move as many bytes as 128 T tokens of context",
    )
    yield claim(
        id="f",
        statement="139,264 FLOP per pair of query and key",
        quantity="2 n_h (2 d_c + d_r)",
        claimed=139_264,
        within=0,
        computed=f,
        unit="FLOP",
        reason="absorbed form: scores over 576, values over 512, 64 heads",
    )
    yield claim(
        id="phi",
        statement="charts: 69,632 multiply-adds per pair",
        quantity="f / 2",
        claimed=c.pairs,
        within=0,
        computed=f / 2,
        unit="MAC",
        reason="the same number, in multiply-adds",
    )
    yield claim(
        id="slope-factor",
        statement="the experts' intensity rises by (k+1)/(E+1) of a dense layer's",
        claimed=7 / 257,
        quantity="slope at large B over dense slope",
        within=1e-3,
        reason="once every expert is read",
        computed=moe_intensity(given, 1e5) / (2e5 / c.expert_bytes),
    )
    dense = crossing(lambda tokens: 2 * tokens / c.expert_bytes, device.fp4 / device.bandwidth, 1, 1e4)
    yield claim(
        id="dense-fp4-knee",
        statement="a dense fp4 layer is compute-bound from about 298 tokens",
        claimed=298,
        within=0.005,
        quantity="1125 b / 2",
        computed=dense,
        unit="tokens",
        reason="2 B / b reaches the fp4 ridge",
    )
    yield claim(
        id="fp8-step",
        statement="projections in fp8 are compute-bound from about 281 tokens",
        quantity="563 / 2",
        claimed=281,
        within=0.005,
        computed=device.fp8 / device.bandwidth / 2,
        unit="tokens",
        reason="2 FLOP per weight of one byte; that this equals the bf16 ridge is a coincidence",
    )
    ridge = c.ridge_fp4
    charts = crossing(lambda tokens: moe_intensity(given, tokens), ridge, 1e3, 1e5)
    text = crossing(lambda tokens: moe_intensity(given, tokens, 0.5), ridge, 1e3, 1e5)
    yield claim(
        id="moe-fp4-batch",
        statement="the experts are compute-bound from a batch of about 10,950",
        claimed=10_950,
        within=0.005,
        quantity="I(B) = 1125, b = 0.53",
        computed=charts,
        unit="tokens",
        reason="1125 b/2 (E+1)/(k+1)",
    )
    yield claim(
        id="moe-fp4-batch-text",
        statement="the experts are compute-bound from about 10,950 with the text's b = 0.5",
        claimed=10_950,
        within=0.005,
        quantity="I(B) = 1125, b = 0.5",
        computed=text,
        unit="tokens",
        reason="10,326: the figure printed needs the charts' b, not the text's",
    )
    yield claim(
        id="crossover",
        statement="attention is compute-bound from T of about 1.16",
        quantity="m_c 281 / f",
        claimed=1.16,
        within=0.005,
        computed=m_c * c.ridge_bf16 / f,
        unit="queries",
        reason="long contexts, where queries cost no bytes",
    )
