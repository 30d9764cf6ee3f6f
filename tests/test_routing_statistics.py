"""Statistics of a routing text against plain loops over tokens and requests, and their errors against resampling."""

from itertools import combinations

import numpy as np
import pytest

from montecarlo.errors import InputError
from montecarlo.text import Text
from tests.statistics import all_within, refused
from traces.routing_statistics import LAGS, WINDOWS, statistics


def _text(seed: int, lengths: list[int], layers: int, experts: int, top_k: int, skew: float = 0.0) -> Text:
    """Requests of their own, skewed popularity; no other structure."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        taste = rng.gumbel(size=(1, layers, experts)) * 2 + skew * np.arange(experts)
        rows.append(np.argsort(taste + rng.gumbel(size=(length, layers, experts)), axis=2)[..., -top_k:])
    kind = np.uint8 if experts <= 256 else np.uint16
    return Text.of(experts=np.concatenate(rows).astype(kind), start=np.concatenate([[0], np.cumsum(lengths)]))


@pytest.mark.parametrize("experts", [12, 70, 300])
def test_every_statistic_equals_a_plain_loop(experts: int) -> None:
    lengths, layers, top_k = [70, 70, 3, 1, 80], 2, 3
    text = _text(0, lengths, layers, experts, top_k)
    found = statistics(text, experts)
    means = found.of(np.arange(len(lengths)))
    moments, influence = found.moments()
    for layer in range(layers):
        sets = [
            [set(row.tolist()) for row in text.experts[text.start[r] : text.start[r + 1], layer]]
            for r in range(len(lengths))
        ]
        for i, lag in enumerate(LAGS):
            shared = [len(a & b) / top_k for one in sets for a, b in zip(one, one[lag:], strict=False)]
            assert means["overlap"][i, layer] == pytest.approx(np.mean(shared))
        for i, window in enumerate(WINDOWS):
            sizes = [len(set().union(*one[t : t + window])) for one in sets for t in range(len(one) - window + 1)]
            assert means["distinct"][i, layer] == pytest.approx(np.mean(sizes))
            assert moments[1 + len(LAGS) + i, layer] == pytest.approx(np.log(np.mean(sizes)))
        across = [len(a & b) / top_k for one, other in combinations(sets, 2) for a in one for b in other]
        assert moments[0, layer] == pytest.approx(np.mean(across))
        uses = np.bincount([e for one in sets for token in one for e in token], minlength=experts)
        np.testing.assert_allclose(found.load[layer], uses / uses.sum())
    np.testing.assert_allclose(influence.sum(axis=0), 0, atol=1e-12)
    apart = np.concatenate(
        [np.repeat(text.experts[:1], 5, axis=0), text.experts[:70], text.experts[:9], text.experts[70:]]
    )
    start = np.array([5, 84, 154, 157, 158])  # tokens between requests, as a replay leaves out prompts: never read
    gaps = statistics(Text(apart, start, np.array(lengths)), experts)
    np.testing.assert_array_equal(gaps.overlap, found.overlap)
    np.testing.assert_array_equal(gaps.load, found.load)
    some = statistics(text, experts, np.array([1, 4]))
    both = statistics(Text.of(experts=text.experts[np.r_[70:140, 144:224]], start=np.array([0, 70, 150])), experts)
    np.testing.assert_array_equal(some.moments()[0], both.moments()[0])


def test_influences_and_load_errors_give_the_spread_over_texts() -> None:
    """Standard deviation of each moment over 150 texts against the mean linearised error; half of it is refused."""
    lengths = [66 + 7 * (r % 9) for r in range(60)]
    found = [statistics(_text(seed, lengths, 1, 10, 2), 10) for seed in range(150)]
    moments = np.stack([one.moments()[0][:, 0] for one in found])
    errors = np.stack([np.sqrt(np.sum(one.moments()[1][..., 0] ** 2, axis=0)) for one in found])
    load = np.stack([one.load[0] for one in found])
    load_error = np.stack([one.load_error[0] for one in found])
    for values, said in ((moments, errors), (load, load_error)):
        ratio = values.std(axis=0, ddof=1) / np.sqrt(np.mean(said**2, axis=0))
        wide = np.full(ratio.shape, 1.15 / np.sqrt(2 * 149))  # of a standard deviation, tails a little heavy
        all_within(ratio, 1.0, wide, largest=0.07)
        refused(all_within, ratio, 0.5, wide, largest=0.07)


@pytest.mark.parametrize("lengths", [[90], [40, 40, 64]])
def test_too_little_text_is_refused(lengths: list[int]) -> None:
    with pytest.raises(InputError, match="need 2 requests or more, and one of more than 64 tokens"):
        statistics(_text(0, lengths, 1, 8, 2), 8)
