"""Sections and background of the routing sampler: against explicit requests, and what they leave unchanged."""

import numpy as np
import pytest

from montecarlo import exact
from montecarlo.routing import Routing
from tests.slow_routing import REQUESTS, agree, count_distinct, draw, slow_texts
from tests.statistics import all_within, refused, within
from traces.fit import power_popularity


@pytest.mark.parametrize(
    "given",
    [
        {"concentration": 12.0, "background": 0.3},
        {"section_concentration": 8.0, "section_tokens": 3.0},
        {
            "concentration": 15.0,
            "background": 0.15,
            "section_concentration": 12.0,
            "section_tokens": 4.0,
            "stickiness": 0.2,
        },
    ],
    ids=["background", "sections", "everything"],
)
def test_sections_and_background_equal_explicit_requests(given: dict[str, float]) -> None:
    """Two layers of their own skew share their sections; without one part, or with twice the section, it is refused."""
    skews = (1.0, 1.8)
    shares = np.stack([power_popularity(skew, 24) for skew in skews])

    def observed(changed: dict[str, float]) -> np.ndarray:
        process = Routing.of(popularity=shares, top_k=3, **(given | changed))
        return count_distinct(draw(process, tokens=10, requests=REQUESTS), 24)

    others = [{"background": 0.0}] if "background" in given else []
    if "section_tokens" in given:
        others += [{"section_concentration": np.inf}, {"section_tokens": 2 * given["section_tokens"]}]
    sampled, off = observed({}), [observed(changed) for changed in others]
    for layer in range(2):
        truth = count_distinct(slow_texts(20 + layer, 9000, shares[layer], 3, 10, **given), 24)[..., 0]
        agree(sampled[..., layer], truth, largest=0.04)
        for other in off:
            refused(agree, other[..., layer], truth, largest=0.04)


def test_no_part_changes_the_load() -> None:
    """One token of a request uses each expert as often with topics, sections and background as without."""
    shares = power_popularity(1.8, 16)
    process = Routing.of(
        popularity=shares[None],
        top_k=3,
        concentration=4.0,
        background=0.2,
        section_concentration=6.0,
        section_tokens=5.0,
    )
    token = draw(process, tokens=4, requests=REQUESTS)[3, :, :, 0]
    observed = np.bincount(token.reshape(-1), minlength=16) / REQUESTS
    law = exact.inclusion(shares, 3)
    error = np.sqrt(law * (1 - law) / REQUESTS)
    all_within(observed, law, error, largest=0.005)
    refused(all_within, observed, exact.inclusion(power_popularity(1.65, 16), 3), error, largest=0.005)


def test_sections_end_in_all_layers_at_once() -> None:
    """Full agreement inside a section and none across: the layers of a request change at the same tokens."""
    process = Routing.of(
        popularity=np.ones((6, 400)), top_k=1, section_concentration=0.5, section_tokens=4.0, stickiness=0.0
    )
    experts = draw(process, tokens=60, requests=300)[:, 0]  # [tokens, requests, layers]
    back = np.stack([experts[lag:] == experts[:-lag] for lag in (1,)])[0]
    kept = back.mean(axis=2)  # share of layers that repeat: 0 where a section ended, about 2/3 inside
    ended = np.mean(kept == 0)
    within(ended, 0.25 + 0.75 / 3**6, np.sqrt(ended * (1 - ended) / kept.size), largest=0.01)
