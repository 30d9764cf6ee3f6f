"""A whole verify step of each attention family, written out kernel by kernel with numbers from the configurations."""

import numpy as np
import pytest

from montecarlo.cost import Ideal
from montecarlo.drafter import Eagle3, Flat
from studies import catalog

BF16, FP8, FP4, BANDWIDTH = 2250e12, 4500e12, 9000e12, 8e12  # B200 [FLOP/s, B/s]


def kernel(flops: float, read: float, peak: float) -> float:
    """Roofline seconds."""
    return max(flops / peak, read / BANDWIDTH)


def matrices(weights: int, tokens: int, width: float, peak: float) -> float:
    """A product with `weights` stored at `width` bytes each."""
    return kernel(2 * weights * tokens, weights * width, peak)


def step(name: str, batch: int, drafts: int, context: int, distinct: int) -> float:
    """Seconds of a verify as the library prices it."""
    prices = Ideal(catalog.target(name), catalog.hardware("b200-sxm"), Flat.of(fraction=0.0))
    experts = prices.target.moe_layers * prices.moe_seconds(batch * (drafts + 1), distinct)
    return float(prices.other_seconds(batch, drafts, context) + experts)


@pytest.mark.parametrize(
    ("batch", "drafts", "context", "distinct"), [(1, 0, 300, 6), (8, 3, 8192, 100), (512, 7, 131_072, 256)]
)
def test_v4_flash(batch, drafts, context, distinct):
    queries = drafts + 1
    tokens = batch * queries
    total = matrices(4096 * 129_280, tokens, 1, FP8)
    for layer in range(43):
        ratio = 0 if layer < 2 else (4 if layer % 2 == 0 else 128)
        weights, rows, recent = 106_954_752, 0.0, min(128, context)
        if ratio == 128:
            weights, rows = weights + 4_194_304, context / 128
        if ratio == 4:
            weights, rows = weights + 8_388_608 + 10_747_904, min(512, context / 4)
            scored = context / 4
            total += kernel(tokens * scored * 2 * 64 * 128, batch * scored * 128 + tokens * 4096, FP8)
        total += matrices(weights, tokens, 1, FP8)
        total += kernel(
            tokens * (rows + recent) * 2 * 64 * (512 + 512),
            batch * (rows + recent) * 576 + tokens * 64 * 512 * 2,
            BF16,
        )
        total += matrices(4096 * 256, tokens, 1, FP8)
        expert = 3 * 4096 * 2048
        total += kernel(2 * 7 * expert * tokens, (distinct + 1) * expert * 17 / 32, FP4)
    assert step("deepseek-v4-flash", batch, drafts, context, distinct) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("batch", "drafts", "context", "distinct"), [(1, 0, 300, 8), (8, 3, 8192, 150), (512, 7, 131_072, 256)]
)
def test_v3(batch, drafts, context, distinct):
    tokens = batch * (drafts + 1)
    total = matrices(7168 * 129_280, tokens, 1, FP8)
    for layer in range(61):
        total += matrices(187_105_280, tokens, 1, FP8)
        total += kernel(
            tokens * context * 2 * 128 * (512 + 64 + 512),
            batch * context * 576 * 2 + tokens * 128 * 576 * 2,
            BF16,
        )
        if layer < 3:
            total += matrices(3 * 7168 * 18_432, tokens, 1, FP8)
        else:
            total += matrices(7168 * 256, tokens, 1, FP8)
            expert = 3 * 7168 * 2048
            total += kernel(2 * 9 * expert * tokens, (distinct + 1) * expert, FP8)
    assert step("deepseek-v3", batch, drafts, context, distinct) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("batch", "drafts", "context", "distinct"), [(1, 0, 300, 8), (8, 3, 8192, 150), (512, 7, 131_072, 256)]
)
def test_qwen36(batch, drafts, context, distinct):
    queries = drafts + 1
    tokens = batch * queries
    total = matrices(2048 * 248_320, tokens, 2, BF16)
    for layer in range(40):
        if layer % 4 == 3:
            total += matrices(2048 * 256 * (16 + 2 + 2 + 16), tokens, 2, BF16)
            total += kernel(4 * 16 * 256 * tokens * context, batch * context * 2 * 2 * 256 * 2, BF16)
        else:
            total += matrices(2048 * (8192 + 4096) + 8192 * 4 + 4096 * 2048, tokens, 2, BF16)
            total += kernel(7 * 32 * 128 * 128 * tokens, batch * (1 + queries) * 1_114_112, BF16)
        total += matrices(2048 * 256, tokens, 2, BF16)
        expert = 3 * 2048 * 512
        total += kernel(2 * 9 * expert * tokens, (distinct + 1) * expert * 2, BF16)
    assert step("qwen3.6-35b-a3b", batch, drafts, context, distinct) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("name", catalog.table("targets"))
def test_every_target_is_priced_with_every_drafter(name):
    """Finite, positive, and dearer with more of anything."""
    target, hardware = catalog.target(name), catalog.hardware("b300-hgx")
    for drafter in (Flat.of(fraction=0.1), Eagle3.of(target)):
        prices = Ideal(target, hardware, drafter)
        grid = prices.other_seconds(
            np.array([1, 8, 64])[:, None, None], np.arange(4)[:, None], np.geomspace(64, 1e5, 5)
        )
        assert grid.shape == (3, 4, 5)
        assert np.all(np.isfinite(grid) & (grid > 0))
        for axis in range(3):
            assert np.all(np.diff(grid, axis=axis) >= 0)
        drafting = prices.draft_seconds(8, np.arange(4), 4096, 1e-3)
        assert drafting[0] == 0
        assert np.all(np.diff(drafting) > 0)
        fitting = prices.fits(np.array([1, 10**6]), 3, 4096)
        assert fitting is not None
        assert not fitting[1]
