"""Walks as tasks of a study: shared cells stay what they are, and agree with the surface where it is exact."""

from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

from montecarlo import difficulty
from montecarlo.difficulty import Coupling, Difficulty
from montecarlo.walk import walk
from studies import cells, config, scenario, walks
from studies.config import Study
from studies.tasks import Arrays, prepared
from tests.statistics import all_within, matches, mean_and_error, refused
from tests.test_npz import made_up, packed
from tests.test_study import studied
from tests.test_walk import expected_steps

GRID = {"batch": "[1, 4]", "draft_length": "[1, 3]", "context_tokens": "[2048]", "acceptance": "[0.7, 0.5, 0.4]"}
SMALL = {"target": "olmoe-1b-7b", "world_requests": "16", "routing": "uniform", "drafter": "'fraction:0.1'"}
ROOFLINES = {"prices": "ideal"}


def resolved(trace: Path | None = None, **keys: str) -> Study:
    given = SMALL | GRID | keys
    if trace is not None:
        given.pop("routing")
    options = {"trace": None if trace is None else str(trace)}
    return scenario.fill(
        "optimal-k", config.resolve("optimal-k", None, [f"{key}={value}" for key, value in given.items()], options)
    )


def walked(study: Study, first: int = 0, worlds: int = 2) -> Arrays:
    return walks.walk_block(study.model_dump_json(), 0, first, worlds)


@cache
def base() -> Arrays:
    return walked(resolved())


@pytest.mark.parametrize(
    ("grown", "batches", "lengths", "contexts"),
    [
        ({"batch": "[1, 2, 4]"}, [0, 2], [0, 1], [0]),
        ({"draft_length": "[0, 1, 2, 3, 5]"}, [0, 1], [1, 3], [0]),
        ({"context_tokens": "[16, 2048]"}, [0, 1], [0, 1], [1]),
    ],
    ids=str,
)
def test_another_grid_changes_no_shared_cell(grown, batches, lengths, contexts) -> None:
    more = walked(resolved(**grown))
    built = prepared(resolved(**grown).model_dump_json(), 0)
    for name in ("tokens", "steps", "distinct"):
        np.testing.assert_array_equal(more[name][:, batches][..., lengths], base()[name])
    shared = np.concatenate([np.arange(s.start, s.stop) for s in np.take(walks.groups(built), batches)])
    np.testing.assert_array_equal(more["undrafted"][:, shared][..., contexts], base()["undrafted"])
    np.testing.assert_array_equal(more["drafted"][:, shared][:, :, contexts][..., lengths], base()["drafted"])
    np.testing.assert_array_equal(more["drafting"][:, batches][:, :, contexts][..., lengths], base()["drafting"])


def test_worlds_are_known_by_number() -> None:
    second = walked(resolved(), 1, 1)
    for name, values in base().items():
        np.testing.assert_array_equal(second[name][0], values[1])
        assert name == "tokens" or not np.array_equal(values[0], values[1])


def test_more_requests_leave_the_sampled_texts() -> None:
    built = prepared(resolved().model_dump_json(), 0)
    assert built.process is not None
    few, more = (walks.sampled(built.process, requests, 0, 0).text.experts for requests in (3, 35))
    np.testing.assert_array_equal(more[: len(few)], few)
    assert not np.array_equal(more[: len(few)], more[32 * walks.TEXT_TOKENS :][: len(few)])


def test_a_dense_target_takes_the_exact_number_of_steps() -> None:
    """Tokens per step of texts of 128 tokens by the renewal recursion; that of endless texts is refused."""
    study = resolved(target="llama-3-8b", world_requests="256", draft_length="[0, 1, 3]")
    done = walked(study, worlds=12)
    assert np.all(done["tokens"] == 256 * (walks.TEXT_TOKENS - 1))
    assert np.all(done["distinct"] == 0)
    survival = prepared(study.model_dump_json(), 0).acceptance.survival(3)
    mean, error = mean_and_error(done["steps"][:, 0] / 256)
    exact = [expected_steps(survival, length, walks.TEXT_TOKENS - 1) for length in (0, 1, 3)]
    all_within(mean, exact, error, largest=0.2)
    endless = [(walks.TEXT_TOKENS - 1) / (1 + survival[:length].sum()) for length in (0, 1, 3)]
    refused(all_within, mean, endless, error, largest=0.2)


def test_cells_agree_with_the_surface_where_it_is_exact() -> None:
    """Uniform routing and acceptance by depth: a step's seconds over an undrafted one's (short texts clip the last
    step, so tokens per step are fewer and a step 1 % cheaper), and distinct experts.
    """
    study = resolved(draft_length="[0, 1, 3]", worlds="16", **ROOFLINES)
    built, blocks = prepared(study.model_dump_json(), 0), walked(study, worlds=16)
    found = cells.grid(built, walks.cells(built, 0, [blocks], [])).to_dicts()
    surface = studied(**SMALL | GRID | ROOFLINES | {"draft_length": "[0, 1, 3]", "worlds": "16"})["results"].to_dicts()
    _, errors = mean_and_error(blocks["distinct"])
    for ours, theirs, error in zip(found, surface, errors.ravel(), strict=True):
        assert [ours[key] for key in ("batch", "draft_length")] == [theirs[key] for key in ("batch", "draft_length")]
        step, same = (row["tokens_per_step"] / row["speedup"] for row in (ours, theirs))
        relative = np.hypot(theirs["speedup_se"] / theirs["speedup"], error / ours["distinct_experts"])
        matches(step, same, step * relative, relative=0.02)
        both = float(np.hypot(error, theirs["distinct_experts_se"]))
        matches(ours["distinct_experts"], theirs["distinct_experts"], both, relative=0.02)
        undrafted = next(row for row in found if row["batch"] == ours["batch"] and row["draft_length"] == 0)
        expected = ours["tokens_per_step"] * undrafted["step_seconds"] / ours["step_seconds"]
        assert ours["speedup"] == pytest.approx(expected, rel=1e-12)
    assert [row["speedup"] for row in found if row["draft_length"] == 0] == [1.0, 1.0]


def test_recorded_requests_are_walked_and_batches_they_cannot_fill_are_null(tmp_path: Path) -> None:
    """Requests of 5 to 20 tokens: at batch 4 one of them would have to be in two slots at once."""
    for lengths, filled in (((7, 12, 5, 20, 9, 11), [1]), ((12,) * 8, [1, 4])):
        archive = tmp_path / f"{len(lengths)}.npz"
        archive.write_bytes(packed(**made_up(lengths)))
        study = resolved(archive, batch="[1, 4]", draft_length="[0]")
        built = prepared(study.model_dump_json(), 0)
        rows = cells.grid(built, walks.cells(built, 0, [walked(study)], [])).to_dicts()
        assert [row["batch"] for row in rows if row["speedup"] == 1.0] == filled
        assert [row["batch"] for row in rows if row["speedup"] is None] == [b for b in (1, 4) if b not in filled]


DRIFTING = """
kind = "difficulty"
id = "drifting"
title = "made up"
offsets = [1.5, 1.0, 0.5]
request_sd = {request_sd}
short_sd = {short_sd}
short_tokens = 2.0
slow_sd = {slow_sd}
slow_tokens = 40.0
"""


def drifting(folder: Path, request_sd: float = 0.0, short_sd: float = 0.0, slow_sd: float = 0.0) -> str:
    path = folder / "drifting.toml"
    path.write_text(DRIFTING.format(request_sd=request_sd, short_sd=short_sd, slow_sd=slow_sd), "utf-8")
    return f"'{path}'"


def dense(acceptance: str) -> Study:
    return resolved(target="llama-3-8b", world_requests="256", draft_length="[0, 1, 3]", acceptance=acceptance)


def test_a_request_effect_takes_the_steps_of_the_mixture_of_its_requests(tmp_path: Path) -> None:
    """Steps of a text by the renewal recursion at each ease, integrated over it; those at mean survival are refused."""
    study = dense(drifting(tmp_path, request_sd=1.2))
    built = prepared(study.model_dump_json(), 0)
    mean, error = mean_and_error(walked(study, worlds=12)["steps"][:, 0] / 256)
    ease, weight = np.polynomial.hermite_e.hermegauss(24)
    survivals = np.cumprod(1 / (1 + np.exp(-np.array([1.5, 1.0, 0.5]) - 1.2 * ease[:, None])), axis=1)
    tokens = walks.TEXT_TOKENS - 1
    exact = [
        np.average([expected_steps(survival, length, tokens) for survival in survivals], weights=weight)
        for length in (0, 1, 3)
    ]
    all_within(mean, exact, error, largest=0.3)
    by_depth = [expected_steps(np.average(survivals, axis=0, weights=weight), length, tokens) for length in (0, 1, 3)]
    refused(all_within, mean, by_depth, error, largest=0.3)
    assert built.walked
    assert mean[2] > by_depth[2]  # slow requests take more of the steps: the surface over-states


def test_difficulty_without_spread_is_acceptance_by_depth(tmp_path: Path) -> None:
    survival = np.cumprod(1 / (1 + np.exp(-np.array([1.5, 1.0, 0.5]))))
    one = walked(dense(drifting(tmp_path)), worlds=8)["steps"][:, 0]
    other = walked(dense(str(survival.tolist())), worlds=8)["steps"][:, 0]
    (mean, error), (expected, theirs) = mean_and_error(one / 256), mean_and_error(other / 256)
    all_within(mean, expected, np.hypot(error, theirs), largest=0.3)


@pytest.mark.parametrize("kind", ["short_sd", "slow_sd"])
def test_difficulty_along_the_text_lowers_tokens_per_step_below_the_surface(tmp_path: Path, kind: str) -> None:
    """Steps stop in hard text and begin there: below 1 + S(1) + .. over all places, by more than five errors."""
    study = dense(drifting(tmp_path, **{kind: 1.5}))
    built = prepared(study.model_dump_json(), 0)
    assert isinstance(built.acceptance, Difficulty)
    by_depth, _ = difficulty.survival(built.acceptance, 3)
    mean, error = mean_and_error(walked(study, worlds=8)["steps"][:, 0] / 256)
    expected = expected_steps(by_depth, 3, walks.TEXT_TOKENS - 1)
    assert mean[2] > expected + 5 * error[2]


def test_a_study_says_that_it_walked_and_with_a_trace_how_sure_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "trace.npz"
    archive.write_bytes(packed(**made_up((24,) * 16)))
    keys = SMALL | {"draft_length": "[0, 2]", "batch": "[1, 2]", "worlds": "4", "world_requests": "16"}
    keys.pop("routing")
    found = studied(archive, **keys, acceptance=drifting(tmp_path, short_sd=1.0))
    rows = found["results"].to_dicts()
    assert {row["method"] for row in rows} == {row["method"] for row in found["best"].to_dicts()} == {"walk"}
    assert any("walked step by step" in note for notes in found.notes.values() for note in notes)
    for row in rows:
        step = row["tokens_per_step"] / row["tokens_per_second_user"]
        assert row["step_seconds"] == pytest.approx(step, rel=1e-12)
        assert (row["speedup_trace_se"] > 0) == (row["draft_length"] > 0)
        assert row["speedup_batch_p05"] <= row["speedup"] <= row["speedup_batch_p95"]


def test_the_couplings_of_runs_have_the_same_law_in_walks_of_a_fixed_length(tmp_path: Path) -> None:
    """A step decides at most one draft of each token: tokens per step are the same; the runs themselves are not."""
    study = dense(drifting(tmp_path, short_sd=1.5))
    law = prepared(study.model_dump_json(), 0).acceptance
    assert isinstance(law, Difficulty)
    taken: dict[Coupling, list[list[int]]] = {"start": [], "token": []}
    for coupling, counts in taken.items():
        for world in range(8):
            drawn = difficulty.sample(
                law, jax.random.key(world), requests=256, tokens=128, draft_length=3, coupling=coupling
            )
            start = np.arange(256) * 128
            runs = np.asarray(drawn).ravel()
            counts.append([len(walk(start, np.full(256, 128), runs, length)) for length in (1, 3)] + [int(runs.sum())])
    (mean, error), (other, theirs) = (mean_and_error(np.array(counts) / 256) for counts in taken.values())
    all_within(mean[:2], other[:2], np.hypot(error, theirs)[:2], largest=0.3)
    assert not np.array_equal(taken["start"], taken["token"])
