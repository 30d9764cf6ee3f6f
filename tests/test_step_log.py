"""Logs of steps: their checks, choices of requests, and the walk that synthesises them, step by step."""

import numpy as np
import pytest

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from tests.statistics import all_within, mean_and_error, refused
from traces.acceptance_stats import figures
from traces.step_log import StepLog, walked
from traces.synthesise_steps import steps, steps_like

PROCESS = Difficulty.of([1.5, 1.0], fall=0.1, request_sd=0.6, short_sd=1.0, short_tokens=3.0)


def test_a_walk_is_what_a_plain_loop_does() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 40, 30)
    run = np.minimum(random.integers(0, 7, (30, 40)), lengths[:, None] - 1 - np.arange(40))
    run = np.maximum(run, 0)
    for k in (0, 1, 3, 6):
        log = walked(run, k, lengths)
        expected = []
        for text, length in enumerate(lengths):
            at = 0
            while at < length - 1:
                accepted = min(run[text, at], k)
                last = at + accepted + 1 >= length - 1
                accepted = min(accepted, length - 2 - at)
                expected.append((text, k, accepted, last))
                at += accepted + 1
            assert at == length - 1
        found = list(zip(log.request, log.drafted, log.accepted, log.cut, strict=True))
        assert found == expected
        np.testing.assert_array_equal(log.tokens, lengths - 1)  # every token but the first, once


def test_every_step_drafts_its_own_length() -> None:
    """By text and step, the last of the table for all later steps."""
    random = np.random.default_rng(1)
    run = random.integers(0, 7, (20, 60))
    table = random.integers(1, 6, (20, 4))
    log = walked(run, table)
    expected = []
    for text in range(20):
        at, step = 0, 0
        while at < 59:
            drafted = table[text, min(step, 3)]
            accepted = min(run[text, at], drafted, 58 - at)
            expected.append((text, drafted, accepted))
            at, step = at + accepted + 1, step + 1
    assert list(zip(log.request, log.drafted, log.accepted, strict=True)) == expected


def test_a_log_is_drafted_again_as_it_was() -> None:
    """Where the engine changed its draft length: step i of a turn drafts what step i of that turn did."""
    random = np.random.default_rng(2)
    lengths = random.integers(1, 5, 400)
    log = StepLog.of(
        request=np.repeat(np.arange(20), 20),
        turn=np.tile(np.repeat([0, 1], 10), 20),
        drafted=lengths,
        accepted=np.minimum(lengths, 2),
    )
    new = steps_like(PROCESS, log, seed=3)
    np.testing.assert_array_equal(new.tokens, log.tokens)
    turn = 2 * log.request + log.turn
    for one in range(40):
        given, found = lengths[turn == one], new.drafted[new.turn == one]
        padded = np.concatenate([given, np.repeat(given[-1], 40)])
        np.testing.assert_array_equal(found, padded[: len(found)])
    fixed = steps_like(PROCESS, log, draft_length=3, seed=3)
    assert set(fixed.drafted.tolist()) == {3}


def test_requests_are_chosen_whole_and_may_come_twice() -> None:
    log = StepLog.of(request=[0, 0, 1, 2, 2, 2], drafted=3, accepted=[0, 1, 2, 3, 2, 1], turn=[0, 1, 0, 0, 0, 1])
    some = log.of_requests(np.array([2, 0, 2]))
    np.testing.assert_array_equal(some.request, [0, 0, 0, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(some.accepted, [3, 2, 1, 0, 1, 3, 2, 1])
    np.testing.assert_array_equal(some.turn, [0, 0, 1, 0, 1, 0, 0, 1])
    assert log.draft_length == 3
    assert log.typical_tokens == pytest.approx(np.exp((3 * np.log(3) * 2 + 9 * np.log(9)) / 15))


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InputError, match=r"1 steps that accepted less .*step 1.*2 steps that accepted more .*step 2"):
        StepLog.of(request=[0, 0, 1, 1], drafted=2, accepted=[0, -1, 3, 4])
    with pytest.raises(InputError, match=r"1 steps of a request that are not neighbours \(first: step 2\)"):
        StepLog.of(request=[0, 1, 0], drafted=2, accepted=[0, 1, 1])
    with pytest.raises(InputError, match="at least one step"):
        StepLog.of(request=[], drafted=2, accepted=[])


def test_the_texts_of_another_log_are_kept() -> None:
    """Requests, turns and tokens are those of the log; another draft length walks over the same text."""
    log = steps(PROCESS, requests=20, tokens=60, draft_length=4, seed=1)
    turned = StepLog.of(
        request=log.request,
        drafted=log.drafted,
        accepted=log.accepted,
        cut=log.cut,
        turn=np.arange(len(log.request)) // 7,
    )
    for k in (4, 2):
        new = steps_like(PROCESS, turned, draft_length=k, seed=2)
        np.testing.assert_array_equal(new.tokens, turned.tokens)
        assert new.draft_length == k
        pairs = {(int(r), int(t)) for r, t in zip(new.request, new.turn, strict=True)}
        assert len(pairs) == len(set(zip(turned.request.tolist(), turned.turn.tolist(), strict=True)))
        assert new.cut.sum() == len(pairs)


def test_one_coin_a_token_leaves_the_same_logs_as_fresh_coins() -> None:
    """`steps_like` throws one coin a token, `steps` one for each start and depth: no figure tells them apart."""
    texts = StepLog.of(request=np.arange(100), drafted=99, accepted=98)  # 100 tokens each, with the first
    fresh = np.array([figures(steps(PROCESS, requests=100, tokens=100, draft_length=3, seed=8, world=w)).flat()
                      for w in range(24)])  # fmt: skip
    shared = np.array([figures(steps_like(PROCESS, texts, draft_length=3, seed=9, world=w)).flat() for w in range(24)])
    errors = np.hypot(mean_and_error(fresh)[1], mean_and_error(shared)[1])
    at = [0, 1, 2, 3, 4]  # survival, ICC, lag-1; texts are too short for 32 steps
    all_within(shared.mean(axis=0)[at], fresh.mean(axis=0)[at], errors[at], largest=0.02)
    other = Difficulty.of([1.5, 1.0], fall=0.1, request_sd=0.6, short_sd=0.6, short_tokens=3.0)
    off = np.array([figures(steps_like(other, texts, draft_length=3, seed=9, world=w)).flat() for w in range(24)])
    refused(all_within, off.mean(axis=0)[at], fresh.mean(axis=0)[at], errors[at], largest=0.02)


def test_longer_requests_are_easier_by_the_slope() -> None:
    tokens = np.repeat([20, 200], 1500)
    texts = StepLog.of(request=np.arange(3000), drafted=tokens, accepted=tokens - 1)
    flat = Difficulty.of([0.5])
    log = steps_like(flat, texts, draft_length=1, length_slope=0.3, typical_tokens=200.0, seed=3)
    first = np.array(
        [log.accepted[(log.request < 1500) & ~log.cut].mean(), log.accepted[(log.request >= 1500) & ~log.cut].mean()]
    )
    logits = np.array([0.5 - 0.3 * np.log(10), 0.5])
    chance = 1 / (1 + np.exp(-logits))
    counts = np.array([(~log.cut & (log.request < 1500)).sum(), (~log.cut & (log.request >= 1500)).sum()])
    errors = np.sqrt(chance * (1 - chance) / counts)
    all_within(first, chance, errors, largest=0.005)
    refused(all_within, first, chance[::-1], errors, largest=0.005)


def test_turns_share_the_request_and_nothing_else() -> None:
    """Requests of two turns: what the two share of the figures is the request's ease, not the short part."""
    accepted = np.full(2 * 800, 60)
    texts = StepLog.of(request=np.repeat(np.arange(800), 2), turn=np.tile([0, 1], 800), drafted=60, accepted=accepted)

    def shared(process: Difficulty, world: int) -> float:
        log = steps_like(process, texts, draft_length=2, seed=4, world=world)
        means = np.bincount(log.turn, log.accepted) / np.bincount(log.turn)
        return float(np.corrcoef(means.reshape(-1, 2).T)[0, 1])

    slow = Difficulty.of([1.0], slow_sd=1.0, slow_tokens=500.0)
    none = [shared(slow, world) for world in range(4)]
    mean, error = mean_and_error(np.array(none))
    assert abs(mean) < 0.06
    assert shared(Difficulty.of([1.0], request_sd=1.0), 0) > 0.4
    assert figures(texts).survival[-1] == 1
    assert np.isnan(figures(texts).icc)
    assert error < 0.05
