"""The surface against enumeration of everything a world may draw, and against the published tables of a real trace."""

from functools import cache

import numpy as np
import pytest

from montecarlo import coverage, surface
from montecarlo.acceptance import Acceptance
from montecarlo.routing import Routing
from montecarlo.surface import TAILS, Recording
from montecarlo.text import Text
from tests.statistics import all_within, matches, mean_and_error, refused, within
from traces.fit import power_popularity

SIZES = (5, 1, 3, 8, 2)  # tokens per request of a made-up recording, some shorter than the window
EXPERTS, LAYERS, DEPTHS, REQUESTS = 12, 2, 4, 4  # a world draws four of the five requests
SURVIVAL = Acceptance.of(survival=[0.7, 0.6, 0.3, 0.2]).survival(DEPTHS)


@cache
def _recording() -> Recording:
    rng = np.random.default_rng(7)
    ids = np.argsort(rng.random((sum(SIZES), LAYERS, EXPERTS)), axis=-1)[..., :2].astype(np.uint8)
    return Recording.of(Text.of(experts=ids, start=np.cumsum([0, *SIZES])), EXPERTS)


def _replay(world: int, survival: np.ndarray = SURVIVAL, **changed: object) -> np.ndarray:
    given: dict[str, object] = {"seed": 0, "step": 0, "requests": REQUESTS, "batches": (1, 2), "tail": "text"}
    return surface.replayed(_recording(), survival, world=world, **{**given, **changed})


def _window(request: int, first: int, size: int, layer: int) -> int:
    """Bitset of a window by slicing: it moves back where it would leave its request."""
    low = max(0, min(first, SIZES[request] - size))
    rows = _recording().text.experts[sum(SIZES[:request]) :][low : min(low + size, SIZES[request]), layer]
    return int(np.bitwise_or.reduce(1 << rows.astype(np.int64).ravel()))


def _places(request: int, size: int, layer: int, tail: str) -> list[tuple[float, int]]:
    """(probability, bitset) of a rejected tail of `size` positions after a window in `request`."""
    homes = [request] if tail == "request" else range(len(SIZES))
    return [
        (1 / len(homes) / SIZES[home], _window(home, first, size, layer))
        for home in homes
        for first in range(SIZES[home])
    ]


def _law(request: int, depth: int, layer: int, tail: str) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities, bitsets) of a request's window of depth + 1 positions: every start, run and tail."""
    law: dict[int, float] = {}
    reach = np.append(1.0, SURVIVAL)
    for run in range(depth + 1):
        chance = reach[run] - (reach[run + 1] if run < depth else 0.0)
        for first in range(SIZES[request]):
            accepted = _window(request, first, run + 1, layer)
            rejected = [(1.0, 0)] if run == depth else _places(request, depth - run, layer, tail)
            if tail == "text":
                accepted, rejected = _window(request, first, depth + 1, layer), [(1.0, 0)]
            for share, bits in rejected:
                union = accepted | bits
                law[union] = law.get(union, 0.0) + chance / SIZES[request] * share
    return np.array(list(law.values())), np.array(list(law))


@cache
def _expected(tail: str) -> np.ndarray:
    """Exact mean distinct experts [depths + 1, batches (1, 2), layers]; requests of a batch differ."""
    means = np.zeros((DEPTHS + 1, 2, LAYERS))
    for depth in range(DEPTHS + 1):
        for layer in range(LAYERS):
            laws = [_law(request, depth, layer, tail) for request in range(len(SIZES))]
            means[depth, 0, layer] = np.mean([p @ np.bitwise_count(bits) for p, bits in laws])
            pairs = [
                p @ np.bitwise_count(bits[:, None] | other_bits) @ other_p
                for one, (p, bits) in enumerate(laws)
                for other_p, other_bits in laws[:one]
            ]
            means[depth, 1, layer] = np.mean(pairs)
    return means


@cache
def _observed(tail: str) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard error) [depths + 1, batches, layers] over worlds of their group means."""
    slices = coverage.group_slices(REQUESTS, (1, 2))
    counts = [_replay(world, tail=tail) for world in range(800)]
    return mean_and_error(
        np.stack([np.stack([count[:, groups].mean(axis=1) for groups in slices], axis=1) for count in counts])
    )


@pytest.mark.parametrize("tail", TAILS)
def test_replayed_worlds_have_the_enumerated_means(tail: str) -> None:
    """All requests, starts, runs and tails; the law of every other tail is refused."""
    mean, error = _observed(tail)
    all_within(mean, _expected(tail), error, largest=0.05)
    for other in TAILS:
        if other != tail:
            refused(all_within, mean, _expected(other), error, largest=0.05)


def test_windows_weigh_requests_not_tokens() -> None:
    laws = [_law(request, 2, 0, "text") for request in range(len(SIZES))]
    by_token = np.average([p @ np.bitwise_count(bits) for p, bits in laws], weights=SIZES)
    mean, error = _observed("text")
    refused(within, mean[2, 0, 0], by_token, error[2, 0, 0], largest=0.05)


@pytest.mark.parametrize("tail", ["request", "anywhere"])
def test_tails_change_only_what_follows_the_run(tail: str) -> None:
    """Batch 1: up to the run the window is the text itself, beyond it is another."""
    process = Routing.of(popularity=power_popularity(1.0, 40)[None], top_k=3, concentration=20.0, stickiness=0.4)
    changed = []
    for world in range(5):
        run = np.asarray(surface.runs(SURVIVAL.astype(np.float32), seed=0, world=world, requests=64))
        common = {"seed": 0, "world": world, "requests": 64, "batches": (1,)}
        text, other = (surface.sampled(process, SURVIVAL, tail=name, **common)[..., 0] for name in ("text", tail))
        inside = np.arange(DEPTHS + 1)[:, None] <= run
        np.testing.assert_array_equal(other[inside], text[inside])
        changed.append(np.mean(other[~inside] != text[~inside]))
        run = np.asarray(surface.runs(SURVIVAL.astype(np.float32), seed=0, world=world, requests=REQUESTS))
        one, two = (_replay(world, tail=name)[:, :REQUESTS] for name in ("text", tail))
        inside = np.arange(DEPTHS + 1)[:, None] <= run
        np.testing.assert_array_equal(two[inside], one[inside])
    assert min(changed) > 0.3


@pytest.mark.parametrize(("tail", "concentration"), [("request", np.inf), *((tail, 15.0) for tail in TAILS)])
def test_growing_the_grid_changes_no_synthetic_cell(tail: str, concentration: float) -> None:
    """Deeper drafts and more batches leave shared cells bit for bit as they were."""
    process = Routing.of(
        popularity=power_popularity(1.5, 40)[None], top_k=3, concentration=concentration, stickiness=0.2
    )
    law, given = Acceptance.iid(0.6), {"seed": 4, "world": 2, "requests": 24, "tail": tail}
    small = surface.sampled(process, law.survival(3), batches=(1, 8), **given)
    large = surface.sampled(process, law.survival(7), batches=(1, 2, 6, 8, 24), **given)
    shared = dict(zip((1, 2, 6, 8, 24), coverage.group_slices(24, (1, 2, 6, 8, 24)), strict=True))
    for batch, groups in zip((1, 8), coverage.group_slices(24, (1, 8)), strict=True):
        np.testing.assert_array_equal(large[:4, shared[batch]], small[:, groups])
    more = surface.sampled(process, law.survival(3), batches=(1, 8), **{**given, "requests": 48})
    np.testing.assert_array_equal(more[:, :24], small[:, :24])


@pytest.mark.parametrize("tail", TAILS)
def test_growing_the_grid_changes_no_recorded_cell(tail: str) -> None:
    deeper = Acceptance.of(survival=[0.7, 0.6, 0.3, 0.2, 0.2, 0.1]).survival(6)
    for world in range(4):
        small = _replay(world, tail=tail, step=world)
        large = _replay(world, deeper, tail=tail, step=world, batches=(1, 2, 3, 4))
        np.testing.assert_array_equal(large[: DEPTHS + 1, :6], small)


@pytest.mark.parametrize("tail", TAILS)
def test_the_same_seed_gives_the_same_numbers_and_others_differ(tail: str) -> None:
    process = Routing.of(popularity=np.ones((2, 64)), top_k=4)
    base = {"seed": 0, "world": 0, "requests": 32, "batches": (1, 4), "tail": tail}
    first = surface.sampled(process, SURVIVAL, **base)
    np.testing.assert_array_equal(first, surface.sampled(process, SURVIVAL, **base))
    replay = np.stack([_replay(world, tail=tail, step=step) for world in range(6) for step in range(2)])
    np.testing.assert_array_equal(
        replay, np.stack([_replay(world, tail=tail, step=step) for world in range(6) for step in range(2)])
    )
    assert len({count.tobytes() for count in replay}) == len(replay)
    for changed in ({"seed": 1}, {"world": 1}):
        assert not np.array_equal(first, surface.sampled(process, SURVIVAL, **{**base, **changed}))
    assert not np.array_equal(replay[0], _replay(0, tail=tail, seed=1))


def test_every_seed_a_study_allows_can_be_drawn() -> None:
    """Seeds reach 2**32 - 1, and the large ones are not the small ones again."""
    drawn = [
        np.asarray(surface.runs(SURVIVAL.astype(np.float32), seed=seed, world=0, requests=200)).tobytes()
        for seed in (0, 2**31 - 1, 2**31, 2**32 - 1)
    ]
    assert len(set(drawn)) == 4


def test_bootstrap_replicates_resample_requests_once_for_all_their_worlds() -> None:
    """200 requests of one token and one expert of their own: a batch of all counts the requests it holds."""
    text = Text.of(experts=np.arange(200, dtype=np.uint8).reshape(-1, 1, 1), start=np.arange(201))
    recording = Recording.of(text, 200)

    def held(world: int, replicate: int | None) -> int:
        counted = surface.replayed(
            recording,
            np.zeros(1),
            seed=0,
            world=world,
            step=0,
            requests=200,
            batches=(200,),
            tail="text",
            replicate=replicate,
        )
        return int(counted[0, 0, 0])

    assert [held(world, None) for world in range(3)] == [200] * 3
    sizes = [held(0, replicate) for replicate in range(150)]
    assert [held(world, 3) for world in range(1, 4)] == [sizes[3]] * 3
    mean, error = mean_and_error(np.array(sizes))
    within(float(mean), 200 * (1 - (1 - 1 / 200) ** 200), float(error), largest=0.6)


# Distinct experts of gpt-oss-20b, mean over 24 layers (425 non-repetitive requests, 144,763 tokens).
WINDOWS = {2: 6.24, 4: 9.31, 8: 12.88, 16: 16.385, 32: 19.44}  # all windows inside their request
BATCHES = {  # requests drawn uniformly; windows of 1, 2, 4 and 8 tokens
    1: (4.00, 6.27, 9.39, 13.01),
    4: (12.1, 16.4, 20.5, 23.7),
    16: (23.1, 26.0, 28.1, 29.4),
    64: (29.0, 30.2, 30.9, 31.3),
}
DEEPEST = 8


def _unions(text: Text, size: int) -> list[np.ndarray]:
    """Per request, distinct experts [windows, layers] of all windows of `size` tokens inside it."""
    token = np.bitwise_or.reduce(np.uint32(1) << text.experts.astype(np.uint32), axis=2)
    found = []
    for low, high in zip(text.start[:-1], text.start[1:], strict=True):
        windows = high - low - size + 1
        union = np.zeros((max(windows, 0), text.experts.shape[1]), np.uint32)
        for step in range(size if windows > 0 else 0):
            union |= token[low + step : low + step + windows]
        found.append(np.bitwise_count(union))
    return found


def test_the_trace_has_the_published_window_table(gpt_oss_20b: Text) -> None:
    """Every window counts the same; to half the last printed digit."""
    assert (gpt_oss_20b.requests, len(gpt_oss_20b.experts)) == (425, 144_763)
    for size, published in WINDOWS.items():
        assert np.concatenate(_unions(gpt_oss_20b, size)).mean() == pytest.approx(published, abs=0.005)


@pytest.fixture(scope="module")
def replayed_trace(gpt_oss_20b: Text) -> dict[int, np.ndarray]:
    """World means [worlds, depths + 1, layers] by batch, over worlds of the whole trace."""
    recording, batches = Recording.of(gpt_oss_20b, 32), tuple(BATCHES)
    given = {"seed": 0, "step": 0, "requests": 425, "batches": batches, "tail": "text"}
    worlds = [surface.replayed(recording, np.ones(DEEPEST), world=world, **given) for world in range(128)]
    return {
        batch: np.stack([count[:, groups].mean(axis=1) for count in worlds])
        for batch, groups in zip(batches, coverage.group_slices(425, batches), strict=True)
    }


def _start_rule(text: Text, size: int) -> np.ndarray:
    """Exact mean [layers] for a uniform request and start; starts near the end share the last whole window."""
    means = []
    for request, windows in enumerate(_unions(text, size)):
        if len(windows) == 0:
            whole = text.experts[text.start[request] : text.start[request + 1]].swapaxes(0, 1)
            means.append(np.array([np.unique(layer).size for layer in whole]))
        else:
            weight = np.ones(len(windows))
            weight[-1] = size
            means.append(weight @ windows / weight.sum())
    return np.mean(means, axis=0)


def test_replaying_the_trace_has_the_enumerated_means(gpt_oss_20b: Text, replayed_trace: dict[int, np.ndarray]) -> None:
    """Batch 1, each of 24 layers, windows of 1..9 tokens; token-weighted windows are refused."""
    means, errors = mean_and_error(replayed_trace[1])
    expected = np.stack([_start_rule(gpt_oss_20b, size) for size in range(1, DEEPEST + 2)])
    all_within(means, expected, errors, largest=0.03)
    by_token = np.stack([np.concatenate(_unions(gpt_oss_20b, n)).mean(axis=0) for n in range(1, DEEPEST + 2)])
    refused(all_within, means, by_token, errors, largest=0.03)


@pytest.mark.parametrize("batch", BATCHES)
def test_replaying_the_trace_has_the_published_batch_table(replayed_trace: dict[int, np.ndarray], batch: int) -> None:
    """Every cell within .7 %; the column of the next window is refused."""
    means, errors = mean_and_error(replayed_trace[batch].mean(axis=2))
    sizes, row = (1, 2, 4, 8), BATCHES[batch]
    for size, published in zip(sizes, row, strict=True):
        matches(means[size - 1], published, errors[size - 1], relative=0.007, what=f"n = {size}")
    for size, published in zip(sizes[:-1], row[1:], strict=True):
        refused(matches, means[size - 1], published, errors[size - 1], relative=0.007)


def test_batch_and_window_are_not_one_axis(replayed_trace: dict[int, np.ndarray]) -> None:
    """One token of each of four requests touches far more experts than four tokens of one request."""
    more, error = mean_and_error(replayed_trace[4][:, 0].mean(axis=1) - replayed_trace[1][:, 3].mean(axis=1))
    assert more > 2
    refused(within, more, 0.0, error, largest=0.02)
