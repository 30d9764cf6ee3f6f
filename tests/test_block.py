"""A block drafter: one pass a step, whatever is verified, against a count by hand."""

import numpy as np
import pytest

from montecarlo.achieved import Achieved
from montecarlo.drafter import Block, Eagle3
from montecarlo.errors import InputError
from montecarlo.terms import Terms
from studies import catalog

H200, OSS = catalog.hardware("h200-sxm"), catalog.target("gpt-oss-120b")
BLOCK = Block.of(OSS, layers=3, block=7)


def test_one_pass_over_the_block_whatever_is_verified() -> None:
    """Three layers of gpt-oss-120b's width, 8 sequences of 7 tokens at 1,000 tokens of context, in bf16."""

    def kernel(parameters: float, tokens: float) -> float:
        return max(2 * parameters * tokens / 989.5e12, 2 * parameters / 4.8e12)

    layer = 64 * (2880 * (64 + 16) + 2880 * 64) + 3 * 2880 * 4 * 2880
    keys = 2 * 8 * 64 * 1000
    core = max(4 * 64 * 64 * 1000 * 8 * 7 / 989.5e12, 8 * keys * 2 / 4.8e12)
    for length in (1, 3, 7):
        fused = kernel(3 * 2880**2, 8 * (length + 1))
        expected = 3 * (kernel(layer, 56) + core) + fused + kernel(2880 * 201_088, 56)
        assert BLOCK.seconds(H200, 8, length, 1000, 0) == pytest.approx(expected, rel=1e-12)
    assert BLOCK.seconds(H200, 8, 0, 1000, 0) == 0


def test_a_pass_of_fixed_seconds_is_paid_once() -> None:
    terms, bare = Terms.of(pass_seconds=1e-3), Achieved(OSS, H200, BLOCK)
    paid = Achieved(OSS, H200, BLOCK, terms)
    lengths = np.arange(4)
    more = paid.draft_seconds(8, lengths, 1000, 0.01) - bare.draft_seconds(8, lengths, 1000, 0.01)
    np.testing.assert_allclose(more, [0, 1e-3, 1e-3, 1e-3], rtol=1e-9)
    many = Achieved(OSS, H200, Eagle3.of(OSS), terms).drafter.passes(lengths)
    np.testing.assert_array_equal(many, lengths)


def test_equal_sequences_cost_what_the_uniform_batch_costs_and_the_others_rest() -> None:
    same = BLOCK.ragged_seconds(H200, [[3, 3, 3], [0, 0, 0]], [[900, 900, 900]] * 2, 0)
    np.testing.assert_allclose(same, [BLOCK.seconds(H200, 3, 3, 900, 0), 0], rtol=1e-12)
    two = BLOCK.ragged_seconds(H200, [[3, 0, 3]], [[900, 77, 900]], 0)
    np.testing.assert_allclose(two, BLOCK.seconds(H200, 2, 3, 900, 0), rtol=1e-12)


def test_its_memory_is_that_of_its_layers() -> None:
    layer = 64 * (2880 * (64 + 16) + 2880 * 64) + 3 * 2880 * 4 * 2880
    assert BLOCK.weight_bytes() == 2 * (3 * layer + 3 * 2880**2)
    assert BLOCK.kv_bytes(1000) == 3 * Eagle3.of(OSS).kv_bytes(1000)


def test_sizes_that_cannot_be_are_refused() -> None:
    for sizes in ({"layers": 0, "block": 7}, {"layers": 3, "block": 0}):
        with pytest.raises(InputError, match="whole number of at least 1"):
            Block.of(OSS, **sizes)
