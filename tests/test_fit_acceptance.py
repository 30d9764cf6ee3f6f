"""The fit of the difficulty process: known truth, boundaries, what is not determined, and the real logs."""

from pathlib import Path

import numpy as np
import pytest

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from tests.bench.fit_coverage import TRUTH, log_of
from tests.logs import spec_bench
from tests.statistics import all_within, refused
from traces import fit_acceptance, profiles
from traces.acceptance_stats import figures
from traces.fit_acceptance import fit, process_of
from traces.profiles import difficulty
from traces.step_log import StepLog
from traces.synthesise_steps import steps, steps_like


@pytest.fixture(scope="module")
def fits() -> list[fit_acceptance.Fit]:
    """Three logs of 300 requests of the bench's coverage study."""
    return [fit(log_of(world), starts=fit_acceptance.STARTS[:1], simulated=8) for world in range(3)]


def test_known_truth_is_found_within_its_errors(fits: list[fit_acceptance.Fit]) -> None:
    for covariance in ("information", "sandwich"):
        theta = np.stack([one.theta for one in fits])
        errors = np.stack([np.sqrt(np.diag(getattr(one, covariance))) for one in fits])
        all_within(theta, np.broadcast_to(TRUTH, theta.shape), errors, largest=0.6)
        for moved in (0, 4, 5, 6, 9):  # an offset, each sd, the slope: 0.4 logits off is refused
            other = TRUTH + 0.4 * (np.arange(len(TRUTH)) == moved)
            refused(all_within, theta, np.broadcast_to(other, theta.shape), errors, largest=0.6)


def test_what_trades_off_is_reported(fits: list[fit_acceptance.Fit]) -> None:
    """At one drafted length decay and difficulty go together: the first offset with the short part."""
    for one in fits:
        at = dict(zip(one.names, range(len(one.names)), strict=True))
        assert one.correlation[at["offset_1"], at["short_sd"]] > 0.5
        np.testing.assert_allclose(np.diag(one.correlation), 1)
        assert one.undetermined == ()


def test_draws_carry_the_errors_to_another_length(fits: list[fit_acceptance.Fit]) -> None:
    drawn = [np.asarray(one.offsets, np.float64) for one in fits[0].draws(4000)]
    error = np.sqrt(np.diag(fits[0].sandwich))[:4]
    np.testing.assert_allclose(np.std(drawn, axis=0), error, rtol=0.06)
    np.testing.assert_allclose(np.mean(drawn, axis=0), fits[0].theta[:4], atol=0.08 * error.max())


def test_a_log_without_difficulty_has_none() -> None:
    """i.i.d. by depth: offsets are the logits of the hazards, vanished parts are 0 and say so."""
    log = steps(Difficulty.of([1.0, 0.2]), requests=150, tokens=150, draft_length=2, seed=1)
    found = fit(log, starts=fit_acceptance.STARTS[:1], simulated=8)
    sds = found.theta[2:5]
    assert np.all(sds < 0.35)
    at = dict(zip(found.names, range(len(found.names)), strict=True))
    for part, time in (("short_sd", "short_tokens"), ("slow_sd", "slow_tokens")):
        assert part not in found.undetermined or time in found.undetermined
    assert "length_slope" in found.undetermined  # all texts are as long
    assert found.length_slope == 0
    error = np.sqrt(np.diag(found.information))
    for name, truth in (("offset_1", 1.0), ("offset_2", 0.2)):
        assert abs(found.theta[at[name]] - truth) < 4 * error[at[name]]


def test_steps_that_drafted_less_count_for_what_they_drafted() -> None:
    """Half of the requests drafted 1, half 3: one fit finds the process; taken as drafted 3 they are rejections."""
    short = steps(process_of(TRUTH), requests=150, tokens=200, draft_length=1, seed=2)
    deep = steps(process_of(TRUTH), requests=150, tokens=200, draft_length=3, seed=3)

    def pooled(drafted: int) -> fit_acceptance.Fit:
        return fit(
            StepLog.of(
                request=np.concatenate([short.request, 150 + deep.request]),
                drafted=np.repeat([drafted, 3], [len(short.request), len(deep.request)]),
                accepted=np.concatenate([short.accepted, deep.accepted]),
                cut=np.concatenate([short.cut, deep.cut]),
            ),
            starts=fit_acceptance.STARTS[:1],
            simulated=4,
        )

    right, wrong = pooled(1), pooled(3)
    errors = np.sqrt(np.diag(right.information))[:3]
    all_within(right.theta[:3], TRUTH[:3], errors, largest=0.2)
    refused(all_within, wrong.theta[:3], TRUTH[:3], errors, largest=0.2)


def test_a_depth_that_no_step_decides_is_refused() -> None:
    log = StepLog.of(request=[0, 0, 1], drafted=3, accepted=[1, 0, 1])
    with pytest.raises(InputError, match="no step of the log decides a draft at depth 3 of 3"):
        fit(log)


def test_components_that_came_out_in_the_wrong_order_are_named_by_speed() -> None:
    swapped = TRUTH.copy()
    swapped[[5, 6]], swapped[[7, 8]] = TRUTH[[6, 5]], TRUTH[[8, 7]]
    for name in ("short_sd", "slow_sd", "short_tokens", "slow_tokens"):
        assert float(getattr(process_of(swapped), name)) == float(getattr(process_of(TRUTH), name))


@pytest.mark.parametrize("name", ["eagle-1", "medusa", "hydra"])
def test_the_shipped_profiles_have_the_figures_of_their_logs(data: Path, name: str) -> None:
    """Survival within .015, ICC and lag-1 within .03, variance over 32 steps within 25 %, on all data."""
    log, profile = spec_bench(data, name), profiles.load(f"{name}-vicuna-7b")
    known = {key: profile.numbers[key] for key in ("length_slope", "typical_tokens")}
    process = difficulty.process(profile.numbers, profile.id)

    def check(process: Difficulty, known: dict[str, float]) -> None:
        off = np.mean([figures(steps_like(process, log, seed=5, world=w, **known)).flat() for w in range(8)], axis=0)
        observed = figures(log).flat()
        difference = np.abs(off - observed)
        assert difference[:-3].max() <= 0.015
        assert difference[-3] <= 0.03
        assert difference[-2] <= 0.03
        assert abs(off[-1] / observed[-1] - 1) <= 0.25

    check(process, known)
    refused(check, Difficulty.of(process.offsets - 0.3), known)  # by depth alone
    if known["length_slope"] > 0.3:
        refused(check, process, {**known, "length_slope": 0.0})
