"""MLA and the compressed latents of DeepSeek-V4, against the post's figures and counts made row by row."""

import math
from itertools import pairwise

import numpy as np
import pytest

from montecarlo import memory
from montecarlo.compressed import MLA, Compressed
from montecarlo.errors import InputError
from montecarlo.roofline import intensity
from studies import catalog

BF16_RIDGE, FP8_RIDGE = 281, 563  # FLOP/B of a B200, as the post rounds them
POST = MLA.of(heads=64, kv_rank=512, rope=64, nope=128, value=128)  # the post's dimensions
V4 = {"heads": 64, "head_dim": 512, "rope": 64, "q_rank": 1024, "o_rank": 1024, "o_groups": 8}
CSA = Compressed.of(**V4, window=128, ratio=4, index_heads=64, index_dim=128, index_top_k=512)
HCA = Compressed.of(**V4, window=128, ratio=128)
WINDOW = Compressed.of(**V4, window=128, ratio=0)


def core(kind, sequences, queries, context, kv_bytes=1.0):
    return kind.kernels(sequences, queries, context, kv_bytes)[0][0]


def indexer(kind, sequences, queries, context):
    return kind.kernels(sequences, queries, context, 1.0)[1][0]


def crossing(rises, target: float, low: float, high: float) -> float:
    """Where the rising function reaches `target`, by bisection."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < target else (low, middle)
    return low


# MLA


@pytest.mark.parametrize(
    ("context", "shown"),
    [(512, (193, 322, 484, 645)), (1024, (215, 387, 645, 967)), (1_048_576, (242, 483, 967, 1932))],
)
def test_the_posts_intensity_table(context, shown):
    got = [float(intensity(core(POST, 1, queries, context))) for queries in (1, 2, 4, 8)]
    assert [round(value) for value in got] == list(shown)


def test_the_posts_attention_crossover():
    """T = m_c x 281 / f = 1.16 as the context grows without end."""
    assert crossing(lambda t: intensity(core(POST, 1, t, 1e15)), BF16_RIDGE, 0.1, 10) == pytest.approx(1.162, abs=1e-3)
    assert intensity(core(POST, 1, 1, 1e15)) == pytest.approx(139_264 / 576)


@pytest.mark.parametrize("form", ["absorbed", "mha"])
def test_mla_is_the_count_of_its_products(form):
    heads, rank, rope, nope, value, queries, context = 3, 20, 4, 8, 6, 5, 17
    kind = MLA.of(heads=heads, kv_rank=rank, rope=rope, nope=nope, value=value, form=form)
    flops, asked = 0, 0
    if form == "mha":
        flops += sum(2 * rank * (nope + value) for _ in range(context) for _ in range(heads))  # once per token
    for _ in range(queries):
        for _ in range(heads):
            asked += (nope if form == "mha" else rank) + rope
            for _ in range(context):
                if form == "mha":
                    flops += 2 * (nope + rope) + 2 * value  # score, then value
                else:
                    flops += 2 * (rank + rope) + 2 * rank
    work = core(kind, 2, queries, context)
    assert (work.flops, work.bytes) == (2 * flops, 2 * (context * (rank + rope) + 2 * asked))
    assert kind.held_bytes(context, queries, 1.0) == context * (rank + rope)


def test_mla_weights_are_those_of_its_matrices():
    """Of DeepSeek-V3: 187,105,280 a layer; of Kimi-K2, with 64 heads, 101,122,048 (catalog.json)."""
    shapes = [(7168, 1536), (1536, 128 * 192), (7168, 576), (512, 128 * 256), (128 * 128, 7168)]
    sizes = {"kv_rank": 512, "rope": 64, "nope": 128, "value": 128, "q_rank": 1536}
    assert MLA.of(heads=128, **sizes).parameters(7168) == sum(math.prod(shape) for shape in shapes) == 187_105_280
    assert MLA.of(heads=64, **sizes).parameters(7168) == 101_122_048
    full_rank = [(2048, 16 * 192), (2048, 576), (512, 16 * 256), (16 * 128, 2048)]  # DeepSeek-V2-Lite
    lite = MLA.of(heads=16, kv_rank=512, rope=64, nope=128, value=128)
    assert lite.parameters(2048) == sum(math.prod(shape) for shape in full_rank)


def test_mha_form_pays_above_170_queries():
    """2 d_c n_h 256 / (139,264 - 2 n_h 320) = 170.67 in FLOP, whatever the context."""
    expanded = MLA.of(heads=64, kv_rank=512, rope=64, nope=128, value=128, form="mha")
    for context in (1_000, 1_000_000):
        saved = [
            float(core(POST, 1, t, context).flops) - float(core(expanded, 1, t, context).flops) for t in (170, 171)
        ]
        assert saved[0] < 0 < saved[1]
        threshold = 170 - saved[0] / (saved[1] - saved[0])
        assert threshold == pytest.approx(512 / 3, abs=1e-6)


@pytest.mark.parametrize(("queries", "context"), [(2, 45_458), (3, 31_084), (4, 26_841), (8, 22_278), (32, 19_760)])
def test_hca_crossings_in_the_posts_dimensions(queries, context):
    """The post compresses the sequence 128 times and leaves the queries alone."""
    found = crossing(lambda s: intensity(core(POST, 1, queries, s / 128)), BF16_RIDGE, 1e3, 1e6)
    assert found == pytest.approx(context, abs=1)


# DeepSeek-V4's latents


def test_crossover_of_the_512_wide_latent():
    """f = 2 x 64 x (512 + 512) = 131,072 and 576 B a latent: T = 1.235, where the post has 1.16."""
    plain = Compressed.of(**V4, window=0, ratio=1)
    assert plain.latent_bytes(1.0) == 576
    found = crossing(lambda t: intensity(core(plain, 1, t, 1e15)), BF16_RIDGE, 0.1, 10)
    assert found == pytest.approx(1.235, abs=5e-4)


def counted_layer(ratio: int, top_k: int, queries: int, context: int, spread: bool) -> dict[str, int]:
    """FLOP and bytes of one sequence in one layer, query by query and row by row; context a multiple of ratio."""
    rows = context // ratio if ratio else 0
    count = {"core": 0, "core_bytes": 0, "index": 0, "index_bytes": 0}
    recent = range(max(0, context - 128), context)
    loaded = {("token", t) for t in recent}
    for query in range(queries):
        scored = range(rows) if top_k else ()
        count["index"] += sum(2 * 64 * 128 for _ in scored)
        first = query * top_k if spread else 0
        chosen = {(first + i) % rows for i in range(min(top_k, rows))} if top_k else set(range(rows))
        loaded |= {("row", row) for row in chosen}
        count["core"] += sum(2 * 64 * 512 + 2 * 64 * 512 for _ in [*chosen, *recent])
        count["core_bytes"] += 64 * 512 * 2
        count["index_bytes"] += 64 * 128 // 2 if top_k else 0
    count["core_bytes"] += sum(448 + 2 * 64 for _ in loaded)
    count["index_bytes"] += sum(128 for _ in range(rows)) if top_k else 0
    return count


@pytest.mark.parametrize("kind", [CSA, HCA, WINDOW], ids=["csa", "hca", "window"])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("context", [128, 1024, 8192])
def test_a_layer_is_the_count_of_its_rows(kind, queries, context):
    count = counted_layer(kind.ratio, kind.index_top_k, queries, context, spread=False)
    work = core(kind, 2, queries, context)
    assert (work.flops, work.bytes) == (2 * count["core"], 2 * count["core_bytes"])
    assert len(kind.kernels(1, 1, context, 1.0)) == (2 if kind.index_top_k else 1)
    if kind.index_top_k:
        scoring = indexer(kind, 2, queries, context)
        assert (scoring.flops, scoring.bytes) == (2 * count["index"], 2 * count["index_bytes"])
        assert kind.kernels(1, 1, context, 1.0)[1][1] == "fp8"


@pytest.mark.parametrize("context", [1024, 4096, 16_384])
def test_disjoint_selections_read_up_to_every_row(context):
    """index_spread = 1: no query shares its rows, but there are only context / 4."""
    spread = Compressed.of(**V4, window=128, ratio=4, index_heads=64, index_dim=128, index_top_k=512, index_spread=1.0)
    for queries in (1, 2, 5):
        count = counted_layer(4, 512, queries, context, spread=True)
        assert core(spread, 1, queries, context).bytes == count["core_bytes"]
        assert core(spread, 1, queries, context).flops == core(CSA, 1, queries, context).flops


def test_csa_crossings():
    """The indexer does about 128 T FLOP per byte: past the bf16 ridge at T = 3, past the fp8 one at T = 4.4."""
    at = {context: float(intensity(indexer(CSA, 1, 3, context))) for context in (1024, 8192, 131_072)}
    assert [round(value) for value in at.values()] == [279, 367, 383]
    assert at[1024] < BF16_RIDGE < at[8192]
    assert crossing(lambda t: intensity(indexer(CSA, 1, t, 1e15)), FP8_RIDGE, 1, 10) == pytest.approx(4.4, abs=2e-3)


@pytest.mark.parametrize(
    ("hidden", "heads", "q_rank", "groups", "projections", "index", "csa", "hca"),
    [
        (4096, 64, 1024, 8, 106_954_752, 10_747_904, 8_388_608, 4_194_304),
        (7168, 128, 1536, 16, 299_892_736, 16_711_680, 14_680_064, 7_340_032),
    ],
    ids=["flash", "pro"],
)
def test_v4_weights_are_those_of_its_matrices(hidden, heads, q_rank, groups, projections, index, csa, hca):
    sizes = V4 | {"heads": heads, "q_rank": q_rank, "o_groups": groups, "window": 128}
    wide = heads * 512
    grouped = [(wide // groups, 1024)] * groups  # every group of heads has a matrix of its own
    shapes = [(hidden, q_rank), (q_rank, wide), (hidden, 512), *grouped, (groups * 1024, hidden)]
    assert sum(math.prod(shape) for shape in shapes) == projections
    assert (2 * (hidden * 512)) == hca  # keys and gates
    assert (2 * (hidden * 2 * 512)) == csa  # of overlapping blocks
    assert q_rank * 64 * 128 + hidden * 64 + 2 * (hidden * 2 * 128) == index
    indexed = {"index_heads": 64, "index_dim": 128, "index_top_k": 512}
    assert Compressed.of(**sizes, ratio=0).parameters(hidden) == projections
    assert Compressed.of(**sizes, ratio=128).parameters(hidden) == projections + hca
    assert Compressed.of(**sizes, ratio=4, **indexed).parameters(hidden) == projections + csa + index


# The aggregate of V4-Flash's true layer mix (economics.md 1.7.4)


def flash(queries: int, context: int) -> tuple[float, float]:
    """FLOP and bytes of all attention kernels of one sequence, query bytes left out and 512 B a latent."""
    flops = read = 0.0
    for count, kind in catalog.target("deepseek-v4-flash").attention:
        works = [work for work, _ in kind.kernels(1, queries, context, 1.0)]
        flops += count * sum(float(work.flops) for work in works)
        latents = float(works[0].bytes) - queries * 64 * 512 * 2
        read += count * latents * 512 / 576
        read += count * (float(works[1].bytes) - queries * 4096) if len(works) > 1 else 0
    return flops, read


@pytest.mark.parametrize(("context", "flops", "read"), [(4096, 9.6, 8.9), (8192, 16, 14), (131_072, 49, 30)])
def test_the_post_over_counts_attention(context, flops, read):
    """Plain MLA over the whole context in all 43 layers, over what the layer mix does."""
    posts, ours = core(POST, 1, 1, context), flash(1, context)
    keys_only = 43 * 576 * context
    assert 43 * float(posts.flops) / ours[0] == pytest.approx(flops, rel=0.03)
    assert keys_only / ours[1] == pytest.approx(read, rel=0.03)


@pytest.mark.parametrize("context", [4096, 65_536, 1_048_576])
def test_bytes_read_per_sequence(context):
    """752 S + 8.33 MB a step at 512 B a latent; the second figure is 8.323 exactly."""
    assert flash(1, context)[1] == pytest.approx(752 * context + 8.33e6, rel=1e-3)


def test_bytes_held_per_sequence():
    """3,440 B per token of context and 2.8 MB of windows, at 512 B a latent; 576 B with the rope in bf16."""
    target = catalog.target("deepseek-v4-flash")
    low, high = (float(memory.kv_bytes(target, context)) for context in (100_000, 200_000))
    assert (high - low) / 100_000 == pytest.approx((3440 - 21 * 128 / 4) * 576 / 512 + 21 * 128 / 4)
    assert low - 100_000 * (high - low) / 100_000 == pytest.approx(43 * 128 * 576)


def test_aggregate_crossover():
    """T* of the whole mix: about 1.25 at 4k and 1.9 at 128k, all at the bf16 ridge (economics.md 1.7.4)."""
    for context, expected in ((4096, 1.25), (131_072, 1.9)):
        flops, read = flash(1, context)
        assert BF16_RIDGE * read / flops == pytest.approx(expected, rel=0.03)


def test_layer_mix_is_that_of_compress_ratios(compress_ratios):
    for name, ratios in compress_ratios.items():
        listed = {kind.ratio: count for count, kind in catalog.target(name).attention}
        assert listed == {ratio: ratios.count(ratio) for ratio in set(ratios)}


@pytest.fixture
def compress_ratios():
    """Of the backbone; the config's last entry, 0, is the MTP layer."""
    return {
        "deepseek-v4-flash": [0, 0, *[4, 128] * 20, 4],
        "deepseek-v4-pro": [128, 128, *[4, 128] * 29, 4],
    }


def test_cost_never_falls_with_queries_or_context():
    for kind in (POST, CSA, HCA, WINDOW):
        for context in (1, 100, 127, 129, 2047, 2049, 10**6):
            line = [core(kind, 1, queries, context) for queries in range(1, 9)]
            assert all(np.all(a.bytes <= b.bytes) and np.all(a.flops < b.flops) for a, b in pairwise(line))
        across = [core(kind, 1, 2, context) for context in np.geomspace(1, 1e7, 50)]
        assert all(a.bytes <= b.bytes and a.flops <= b.flops for a, b in pairwise(across))


@pytest.mark.parametrize(
    ("kind", "changed", "fault"),
    [
        (MLA, {"form": "best"}, "absorbed, mha"),
        (MLA, {"nope": 0}, "at least 1"),
        (Compressed, {"o_groups": 7}, "multiple of o_groups"),
        (Compressed, {"rope": 513}, "at most head_dim"),
        (Compressed, {"window": 0, "ratio": 0}, "not both 0"),
        (Compressed, {"index_top_k": 512}, "give all three"),
        (Compressed, {"ratio": 0, "index_heads": 1, "index_dim": 1, "index_top_k": 1}, "and a ratio"),
        (Compressed, {"index_spread": 1.5}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(kind, changed, fault):
    mla = {"heads": 64, "kv_rank": 512, "rope": 64, "nope": 128, "value": 128}
    sizes = mla if kind is MLA else V4 | {"window": 128, "ratio": 128}
    with pytest.raises(InputError, match=fault):
        kind.of(**(sizes | changed))
