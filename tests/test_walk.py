"""The walk against a slow plain-Python walk, exact renewal theory, and texts with a latent difficulty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.acceptance import Acceptance
from montecarlo.errors import InputError
from montecarlo.walk import Steps, walk
from tests.statistics import all_within, refused, within

Taken = list[tuple[int, int, int, int, int]]


def slow(sizes: list[int], run: list[int], length: int | list[int], order: list[int]) -> Taken:
    """(request, position, drafted, accepted, emitted) of each step, draft by draft and token by token."""
    taken: Taken = []
    for request in order:
        row, last, t = sum(sizes[:request]), sizes[request] - 1, 0
        while t < last:
            wanted = length if isinstance(length, int) else length[row + t]
            drafts = [j for j in range(t + 1, t + 1 + wanted) if j <= last]
            accepted = [j for j in drafts if j - t <= run[row + t]]
            emitted = [j for j in range(t + 1, t + len(accepted) + 2) if j <= last]
            taken.append((request, t, len(drafts), len(accepted), len(emitted)))
            t = emitted[-1]
    return taken


def listed(steps: Steps) -> Taken:
    fields = (steps.request, steps.position, steps.drafted, steps.accepted, steps.emitted)
    return [tuple(int(value) for value in step) for step in zip(*fields, strict=True)]  # type: ignore[misc]


sizes_and_runs = st.lists(st.integers(1, 12), min_size=1, max_size=5).flatmap(
    lambda sizes: st.tuples(
        st.just(sizes), st.lists(st.integers(0, 6), min_size=sum(sizes), max_size=sum(sizes)), st.permutations(sizes)
    )
)


@given(sizes_and_runs, st.integers(0, 8), st.data())
def test_the_walk_is_the_slow_walk_step_by_step(text, length, data) -> None:
    sizes, run, _ = text
    start = np.cumsum([0, *sizes[:-1]])
    order = data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(1, len(sizes)))]
    by_row = data.draw(st.lists(st.integers(0, 5), min_size=len(run), max_size=len(run)))
    for wanted in (length, by_row):
        steps = walk(start, sizes, run, wanted, order=order)
        assert listed(steps) == slow(sizes, run, wanted, order)
        for at, request in enumerate(order):
            assert set(steps.request[steps.begin[at] : steps.begin[at + 1]]) <= {request}
        assert steps.begin[-1] == len(steps)
    assert listed(walk(start, sizes, run, length)) == slow(sizes, run, length, list(range(len(sizes))))


@given(sizes_and_runs, st.integers(0, 8))
def test_every_position_is_emitted_exactly_once(text, length) -> None:
    """By every policy: tokens 1 .. n-1 of each request; no window leaves its text."""
    sizes, run, _ = text
    steps = walk(np.cumsum([0, *sizes[:-1]]), sizes, run, length)
    emitted = [(r, t + 1 + j) for r, t, _, _, many in listed(steps) for j in range(many)]
    assert emitted == [(r, t) for r, size in enumerate(sizes) for t in range(1, size)]
    assert np.all(steps.position + steps.drafted < np.asarray(sizes)[steps.request])
    assert np.all((steps.accepted <= steps.drafted) & (steps.drafted <= length))


@given(sizes_and_runs, st.integers(0, 4))
def test_more_requests_and_deeper_runs_change_no_step(text, length) -> None:
    sizes, run, _ = text
    start = np.cumsum([0, *sizes[:-1]])
    few = walk(start, sizes, run, length)
    more = walk([*start, sum(sizes)], [*sizes, 7], [*run, *[1] * 7], length)
    assert listed(more)[: len(few)] == listed(few)
    deeper = [depth + 3 if depth >= 4 else depth for depth in run]
    assert listed(walk(start, sizes, deeper, length)) == listed(few)


def fresh_runs(hazard: np.ndarray, deepest: int, rng: np.random.Generator) -> np.ndarray:
    """Runs [requests, tokens]: draft j of the step that starts at t is accepted with chance hazard[:, j], anew."""
    requests, tokens = hazard.shape
    ahead = np.zeros((requests, tokens + deepest))
    ahead[:, :tokens] = hazard
    run, alive = np.zeros((requests, tokens), np.int64), np.ones((requests, tokens), np.bool_)
    for depth in range(1, deepest + 1):
        alive &= rng.random((requests, tokens)) < ahead[:, depth : depth + tokens]
        run += alive
    return run


def expected_steps(survival: np.ndarray, length: int, tokens: int) -> float:
    """E[steps] to emit `tokens` tokens where runs are i.i.d. and by depth: a renewal recursion."""
    expected = np.zeros(tokens + 1)
    for left in range(1, tokens + 1):
        reach = np.append(1.0, survival[: min(length, left)])
        chance = reach - np.append(reach[1:], 0.0)  # of exactly 0, 1, ... accepted
        expected[left] = 1 + sum(p * expected[left - min(a + 1, left)] for a, p in enumerate(chance))
    return float(expected[tokens])


REQUESTS, TOKENS, DEEPEST = 1500, 121, 8


def walked(run: np.ndarray, length: int) -> Steps:
    requests, tokens = run.shape
    return walk(np.arange(requests) * tokens, np.full(requests, tokens), run.ravel(), length)


def steps_by_request(steps: Steps) -> tuple[float, float]:
    """Mean steps per request and its standard error."""
    counts = np.diff(steps.begin)
    return float(counts.mean()), float(counts.std(ddof=1) / np.sqrt(len(counts)))


@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_iid_acceptance_takes_the_exact_number_of_steps(length: int) -> None:
    """Short texts: the recursion with its clipped last step. The endless text's formula is refused at k = 8."""
    law = Acceptance.of(survival=[0.8, 0.5, 0.4, 0.35, 0.3, 0.2, 0.15, 0.1])
    rng = np.random.default_rng(length)
    run = np.sum(rng.random((REQUESTS, TOKENS, 1)) < law.survival(DEEPEST), axis=2)
    mean, error = steps_by_request(walked(run, length))
    within(mean, expected_steps(law.survival(DEEPEST), length, TOKENS - 1), error, largest=0.25)
    refused(within, mean, expected_steps(law.survival(DEEPEST), abs(length - 1), TOKENS - 1), error, largest=0.25)
    if length == DEEPEST:
        refused(within, mean, (TOKENS - 1) / law.tokens_per_step(length), error, largest=0.25)


def test_a_long_iid_text_emits_what_the_surface_says() -> None:
    """Tokens per step of endless texts, 1 + S(1) + ... + S(k), all lengths on the same runs."""
    law, rng = Acceptance.iid(0.7), np.random.default_rng(3)
    run = np.sum(rng.random((60, 6000, 1)) < law.survival(DEEPEST), axis=2)
    values, errors = [], []
    for length in range(DEEPEST + 1):
        steps = walked(run, length)
        per_request = np.diff(steps.begin) / (6000 - 1)
        values.append(1 / per_request.mean())
        errors.append(per_request.std(ddof=1) / np.sqrt(60) / per_request.mean() ** 2)
    all_within(values, law.tokens_per_step(np.arange(DEEPEST + 1)), errors, largest=0.01)
    refused(all_within, values, Acceptance.iid(0.71).tokens_per_step(np.arange(DEEPEST + 1)), errors, largest=0.01)


def easy_and_hard(rng: np.random.Generator, stay: float) -> np.ndarray:
    """Acceptance chances [requests, tokens] of a text that is easy (.95) or hard (.45), and stays so with `stay`."""
    flips = rng.random((400, 600)) > stay
    flips[:, 0] = rng.random(400) < 0.5
    return np.where(np.cumsum(flips, axis=1) % 2, 0.95, 0.45)


def by_depth(run: np.ndarray, steps: Steps) -> np.ndarray:
    """Tokens per step at 0..DEEPEST of a surface: survival of the runs at the starts of `steps`, at every length."""
    at = run[steps.request, steps.position]
    inside = steps.position < run.shape[1] - DEEPEST  # runs that could go all the way
    return np.cumsum([1.0, *(np.mean(at[inside] >= depth) for depth in range(1, DEEPEST + 1))])


def test_a_latent_difficulty_makes_the_surface_overstate() -> None:
    """Difficulty that lives in the text: below the by-depth surface, more so the deeper; in i.i.d. texts never."""
    rng = np.random.default_rng(5)
    chances = {"latent": easy_and_hard(rng, stay=0.85), "iid": np.full((400, 600), 0.75)}
    for name, chance in chances.items():
        run = fresh_runs(chance, DEEPEST, rng)
        surface = by_depth(run, walked(run, 1))
        values, errors = [], []
        for length in (3, DEEPEST):
            steps = walked(run, length)
            per_request = np.diff(steps.begin) / (run.shape[1] - 1)
            values.append(1 / per_request.mean())
            errors.append(2 * per_request.std(ddof=1) / np.sqrt(400) / per_request.mean() ** 2)  # 2: the surface's too
        below = 1 - np.asarray(values) / surface[[3, DEEPEST]]
        if name == "latent":
            refused(all_within, values, surface[[3, DEEPEST]], errors, largest=0.05)
            assert 0.02 < below[0] < below[1]
        else:
            all_within(values, surface[[3, DEEPEST]] - [0, 0.03], errors, largest=0.05)


def first_draft(steps: Steps) -> float:
    """Share of the steps that accept their first draft."""
    return float(np.mean(steps.accepted[steps.drafted > 0] > 0))


def test_position_one_acceptance_falls_with_the_draft_length() -> None:
    """Long runs eat the easy tokens: little from a request effect alone, nothing in i.i.d. texts."""
    rng = np.random.default_rng(6)
    request = np.broadcast_to(rng.choice([0.55, 0.8], (400, 1)), (400, 600))
    falls = {}
    for name, chance in (
        ("latent", easy_and_hard(rng, stay=0.85)),
        ("request", request),
        ("iid", np.full((400, 600), 0.75)),
    ):
        run = fresh_runs(chance, 10, rng)
        falls[name] = first_draft(walked(run, 1)) - first_draft(walked(run, 10))
    error = np.sqrt(0.75 * 0.25 * 2 / 60_000)
    within(falls["iid"], 0.0, error, largest=0.003)
    assert falls["latent"] > 0.05 > falls["request"] > 4 * error


def test_runs_known_only_as_far_as_drafted_refuse_deeper_steps() -> None:
    """A run that reached its limit may have gone on; one that ended before is known whatever is drafted."""
    sizes, run, limit = [6, 4], [2, 0, 0, 1, 0, 0, 0, 0, 0, 0], [2, 0, 0, 2, 0, 0, 2, 0, 0, 0]
    start, lengths = [0, 6], np.asarray(limit)
    replayed = walk(start, sizes, run, lengths, run_limit=limit)
    assert listed(replayed) == slow(sizes, run, limit, [0, 1])
    assert listed(walk([0], [6], run[:6], 2, run_limit=limit[:6]))[0] == (0, 0, 2, 2, 3)
    with pytest.raises(InputError, match=r"3 of 5 steps draft further .* request 0, token 0: 3 against 2"):
        walk(start, sizes, run, 3, run_limit=limit)
    with pytest.raises(InputError, match="0 or more"):
        walk(start, sizes, run, -1)
    with pytest.raises(InputError, match="0 or more"):
        walk(start, sizes, [-1] * 10, 1)
