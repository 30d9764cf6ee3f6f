"""Section 1.2 on: where each kind of attention becomes compute-bound."""

from collections.abc import Iterator

import numpy as np

from montecarlo.attention import Attention
from montecarlo.compressed import Compressed
from montecarlo.hardware import BYTES
from montecarlo.roofline import intensity
from studies.claims.claim import Claim, Inputs, crossing

SECTION = "attention"


def claims(given: Inputs) -> Iterator[Claim]:
    """MLA's two forms, GQA and MHA, HCA and CSA."""
    yield from _forms(given)
    yield from _grouped(given)
    yield from _compressed(given)


def _forms(given: Inputs) -> Iterator[Claim]:
    """Where expanding keys and values once beats attending to the latent."""
    absorbed, expanded = given.mla, type(given.mla)(**{**given.mla.__dict__, "form": "mha"})

    def cheaper(queries: float) -> float:
        flops = [float(np.asarray(kind.kernels(1, queries, 1e6, 1.0)[0][0].flops)) for kind in (absorbed, expanded)]
        return flops[0] / flops[1]

    yield Claim(
        id="mha-form",
        section=SECTION,
        statement="from T of about 170 the MHA form is cheaper",
        claimed=170,
        within=0.01,
        quantity="T where both forms cost as many FLOP",
        computed=crossing(cheaper, 1.0, 2, 1e4),
        unit="queries",
        reason="the post prints no derivation; V3's nope 128, rope 64, value 128 give 170.67",
    )


def _grouped(given: Inputs) -> Iterator[Claim]:
    llama = given.dense.attention[0][1]
    assert isinstance(llama, Attention)
    single = Attention(llama.heads, llama.heads, llama.head_dim)
    for name, kind, claimed, said in (
        ("gqa", llama, 8, "GQA (Llama-3-70B) has an intensity of about 8 T"),
        ("mha", single, 1, "pure MHA has an intensity of about T"),
    ):
        yield Claim(
            id=f"{name}-intensity",
            section=SECTION,
            statement=said,
            quantity="FLOP / B at T = 1",
            claimed=claimed,
            within=0.005,
            computed=float(intensity(kind.kernels(1, 1, 8192, 2.0)[0][0])),
            unit="FLOP/B",
            reason="2 n_h / (n_kv b_kv) with bf16 KV; it doubles with fp8 KV",
        )


def _compressed(given: Inputs) -> Iterator[Claim]:
    """HCA and CSA in the post's accounting: V3's latent, the context compressed, queries left alone."""
    c, mla = given.constants, given.mla
    f, m_q = 2.0 * c.pairs, mla.heads * (mla.kv_rank + mla.rope) * 2.0

    def hca(context: float, queries: float) -> float:
        return f * queries * (context / 128) / (c.kv_bytes * context / 128 + m_q * queries)

    for queries, claimed, said in (
        (2, 45_000, "HCA: T = 2 crosses the bf16 ridge at a context of about 45k"),
        (3, 30_000, "HCA: useful between about 30k (T = 3 crosses there)"),
        (32, 20_000, "HCA: wide verifies remain memory-bound to about 20k (T = 32)"),
    ):
        yield Claim(
            id=f"hca-{queries}",
            section=SECTION,
            statement=said,
            quantity=f"S where intensity = 281, T = {queries}",
            claimed=claimed,
            within=0.05,
            unit="tokens",
            reason="queries' bytes weigh most where rows are few",
            computed=crossing(lambda context, queries=queries: hca(context, queries), c.ridge_bf16, 128, 1e8),
        )

    csa = next(kind for _, kind in given.flash.attention if isinstance(kind, Compressed) and kind.index_top_k)

    def indexed(context: float, queries: float) -> float:
        (core, _), (indexer, _) = csa.kernels(1, queries, context, BYTES["fp8"])
        return float(intensity(core + indexer))

    first = next((t for t in range(1, 65) if indexed(8192, t) >= c.ridge_bf16), np.inf)
    yield Claim(
        id="csa-compute",
        section=SECTION,
        statement="CSA is compute-bound by T = 4",
        quantity="first T past 281, S = 8k",
        claimed=4,
        side="<=",
        bound=4,
        computed=first,
        unit="queries",
        reason=f"core and indexer together: already at T = {first} against the bf16 ridge",
    )
    yield Claim(
        id="csa-slope",
        section=SECTION,
        statement="CSA's intensity is about 128 T",
        claimed=128,
        within=0.10,
        unit="FLOP/B",
        quantity="intensity at T = 1, S = 1M",
        computed=indexed(1_048_576, 1),
        reason="the indexer alone: 2 x 64 x 128 FLOP for 128 B of key",
    )
