"""Whole requests: the window sampler's own law and numbers, anywhere in a request, however many there are."""

import jax.numpy as jnp
import numpy as np
import pytest

from montecarlo.errors import InputError
from montecarlo.keys import Stream, key
from montecarlo.routing import Routing, sample
from tests.statistics import all_within, mean_and_error, refused
from traces.fit import power_popularity
from traces.synthesise import synthesise

SHARES = np.stack([power_popularity(skew, 24) for skew in (1.0, 1.8)])
SECTIONS = {"section_concentration": 10.0, "section_tokens": 5.0}


def _process(**given: float) -> Routing:
    return Routing.of(popularity=SHARES, top_k=3, concentration=12.0, background=0.1, **given)


def _texts(process: Routing, requests: int, tokens: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(synthesise(process, requests, tokens, seed)))


def _windows(texts: np.ndarray, first: int, size: int) -> np.ndarray:
    """Distinct experts [requests, layers] of the windows from token `first` on."""
    rows = texts[:, first : first + size].transpose(0, 2, 1, 3).reshape(len(texts), texts.shape[2], -1)
    return np.array([[len(set(layer)) for layer in request] for request in rows.tolist()])


def test_more_requests_and_tokens_leave_earlier_ones_as_they_were() -> None:
    process = _process(**SECTIONS, stickiness=0.2)
    small, large = _texts(process, 70, 20), _texts(process, 150, 33)
    assert (small.shape, small.dtype) == ((70, 20, 2, 3), np.uint8)
    np.testing.assert_array_equal(large[:70, :20], small)
    assert np.mean(large[:64, :20] == large[64:128, :20]) < 0.2
    assert np.mean(_texts(process, 64, 20, seed=1) == small[:64]) < 0.2
    window = sample(process, key(0, 1, Stream.TEXT), jnp.full(64, 9), tokens=9, requests=64)
    np.testing.assert_array_equal(np.asarray(window).transpose(2, 0, 3, 1), large[64:128, :9])


def test_a_window_anywhere_in_a_request_has_the_law_of_its_first() -> None:
    """Topics and sections are stationary: 8 tokens from token 0 and from token 40; without sections it is refused."""
    texts = _texts(_process(**SECTIONS), 3000, 48)
    for layer in range(2):
        (late, error), (early, early_error) = (
            mean_and_error(_windows(texts, first, 8)[:, layer].astype(float)) for first in (40, 0)
        )
        all_within(late, early, np.hypot(error, early_error), largest=0.08)
    plain = _windows(_texts(_process(), 3000, 8), 0, 8)
    late, error = mean_and_error(_windows(texts, 40, 8))
    refused(all_within, late, plain.mean(axis=0), error, largest=0.08)


def test_a_full_urn_goes_on_with_what_it_holds() -> None:
    """Beyond the draws an urn keeps, a request's load stays that of its first tokens, far from another's."""
    texts = _texts(Routing.of(popularity=np.ones((1, 8)), top_k=2, concentration=2.0), 8, 3000)[:, :, 0]
    early, late = (
        np.stack([np.bincount(row.reshape(-1), minlength=8) for row in texts[:, part]]) / 2000
        for part in (slice(0, 1000), slice(2000, 3000))
    )
    assert np.abs(early - late).max() < 0.08
    assert np.abs(early - np.roll(late, 1, axis=0)).max() > 0.2


@pytest.mark.parametrize(("requests", "tokens", "seed"), [(0, 5, 0), (5, 0, 0), (5, 5, -1)])
def test_nothing_to_write_is_refused(requests: int, tokens: int, seed: int) -> None:
    with pytest.raises(InputError, match="1 or more of each"):
        next(synthesise(_process(), requests, tokens, seed))


def test_many_experts_need_two_bytes() -> None:
    texts = _texts(Routing.of(popularity=np.ones((1, 300)), top_k=4), 65, 3)
    assert texts.dtype == np.uint16
    assert texts.max() > 255
