"""The post's prices: its golden outputs in closed form, and simulated uniform routing against that closed form."""

from collections.abc import Sequence

import numpy as np
import pytest

from montecarlo import closed, coverage, estimate, surface
from montecarlo.acceptance import Acceptance
from montecarlo.drafter import Flat
from montecarlo.overlap import Overlap
from montecarlo.post import POST, Post
from montecarlo.routing import Routing
from tests.statistics import refused, within
from traces.fit import power_popularity

# Golden outputs of the post's charts, c = 0.10, alpha = 0.75, S = 4096: batch -> (best draft length, speedup).
GOLDEN = {
    1: (1, 1.171),
    2: (1, 1.064),
    4: (0, 1.0),
    8: (0, 1.0),
    16: (3, 1.028),
    32: (5, 1.352),
    64: (4, 1.668),
    128: (3, 1.743),
    256: (3, 1.584),
    512: (2, 1.380),
    1024: (1, 1.214),
    4096: (1, 1.041),
    10_000: (0, 1.0),
}


def _closed_form(alpha: float, fraction: float, batches: Sequence[int], lengths: np.ndarray) -> np.ndarray:
    """The post's speedup [batches, lengths] at 4,096 tokens."""
    prices, uniform = Post(Flat.of(fraction=fraction)), Overlap.uniform(POST.experts, POST.top_k)
    emitted = (1 - alpha ** (lengths + 1.0)) / (1 - alpha)
    return closed.grid(prices, uniform, batches, [4096], lengths).speedup(emitted)[:, 0]


def _best(alpha: float, fraction: float, batch: int) -> tuple[int, float]:
    values = _closed_form(alpha, fraction, [batch], np.arange(65))[0]
    return int(np.argmax(values)), float(values.max())


@pytest.mark.parametrize("batch", GOLDEN)
def test_closed_form_has_the_golden_row(batch: int) -> None:
    length, value = _best(0.75, 0.10, batch)
    assert (length, round(value, 3)) == GOLDEN[batch]


def test_the_gutter_is_where_the_post_has_it() -> None:
    """Batches 4..13 at alpha .75; none at .80 and above; none with a free drafter."""
    batches = range(1, 1025)
    assert [batch for batch in batches if _best(0.75, 0.10, batch)[0] == 0] == list(range(4, 14))
    for alpha in (0.80, 0.85, 0.95):
        assert all(_best(alpha, 0.10, batch)[0] > 0 for batch in batches)
    assert all(_best(0.75, 0.0, batch)[0] > 0 for batch in batches)
    assert [_best(0.75, 0.0, batch)[0] for batch in (4, 8)] == [1, 1]


def test_no_drafting_is_a_speedup_of_one() -> None:
    np.testing.assert_allclose(_closed_form(0.75, 0.1, range(1, 5000, 37), np.arange(1)), 1, rtol=1e-14)


def _simulated(skew: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(speedup, paired standard error, closed form) [batches, lengths 1..8] of the post's prices, 24 worlds."""
    batches, lengths, context = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512), np.arange(9), 4096
    law, prices = Acceptance.iid(0.75), Post(Flat.of(fraction=0.10))
    process = Routing.of(popularity=np.stack([power_popularity(skew, POST.experts)] * POST.layers), top_k=POST.top_k)
    steps = np.empty((24, len(batches), len(lengths)))
    for world, step in enumerate(steps):
        counts = surface.sampled(
            process, law.survival(8), seed=0, world=world, requests=512, batches=batches, tail="request"
        )
        for b, groups in enumerate(coverage.group_slices(512, batches)):
            tokens = batches[b] * (lengths + 1.0)
            experts = POST.layers * prices.moe_seconds(tokens[:, None, None], counts[:, groups]).mean(axis=(1, 2))
            step[b] = prices.other_seconds(batches[b], lengths, context) + experts
            step[b] += prices.draft_seconds(batches[b], lengths, context, step[b, 0])
    value, error = estimate.speedup(law.tokens_per_step(lengths), steps[..., :1], steps)
    exact = _closed_form(0.75, 0.10, batches, lengths)
    return value[:, 1:], error[:, 1:], exact[:, 1:]


def _is_closed_form(value: np.ndarray, error: np.ndarray, exact: np.ndarray) -> None:
    """Within three paired standard errors, these of at most .05 %, in every cell."""
    for cell in np.ndindex(value.shape):
        within(value[cell], exact[cell], error[cell], sigmas=3, largest=0.0005 * exact[cell], what=str(cell))


def test_simulated_uniform_routing_has_the_closed_form() -> None:
    _is_closed_form(*_simulated(0.0))


def test_simulated_skewed_routing_has_not() -> None:
    """Experts are shared more under skew: drafting pays more at batch 1, so the closed form is refused."""
    value, error, exact = _simulated(0.5)
    refused(_is_closed_form, value, error, exact)
    assert np.all(value[:4] > exact[:4])
