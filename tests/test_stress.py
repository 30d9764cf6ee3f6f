"""stress: corners and rungs against optimal-k's own cells and walks, regret, shares, and flips that really flip."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo import difficulty
from montecarlo.acceptance import Acceptance
from montecarlo.difficulty import Difficulty
from studies import centred, columns, config, ladder, levels, models, optimal_k, scenario, stress, walks
from studies.choosing import Choosing
from studies.ladder import FAMILIES
from studies.levels import Model
from studies.models import Models
from studies.results import Results
from tests.statistics import matches, mean_and_error, within
from tests.test_cli import invoke, sets
from tests.test_npz import made_up, packed

WORLDS = 6
OWN = {"target": "gpt-oss-20b", "hardware": "h100-sxm", "batch": "[1, 8]", "draft_length": "[0, 1, 2, 4]"}
SMALL = OWN | {"world_requests": "32"}


def resolved(study: str, **keys: str) -> config.Study:
    given = [f"{key}={value}" for key, value in keys.items()]
    return scenario.fill(study, config.resolve(study, None, given, {"worlds": WORLDS}))


@cache
def performed(items: tuple[tuple[str, str], ...]) -> tuple[config.Study, Models]:
    """A study with those keys, and its worlds."""
    study = resolved("stress", **dict(items))
    plain = study.model_dump_json()
    listed = stress.tasks(study, WORLDS)
    done = {task.name: task.function(*task.arguments) for task in listed}
    return study, Models.of(stress.prepared(plain, 0), study.seed, listed, done)


def worlds_of(**keys: str) -> Models:
    return performed(tuple(sorted((SMALL | keys).items())))[1]


@cache
def concluded(**keys: str) -> Results:
    study, found = performed(tuple(sorted((SMALL | keys).items())))
    listed = stress.tasks(study, WORLDS)
    ends = np.cumsum([task.arguments[3] for task in listed])
    done = {
        task.name: {name: values[end - task.arguments[3] : end] for name, values in found.arrays.items()}
        for task, end in zip(listed, ends, strict=True)
    }
    return stress.conclude(study, WORLDS, done, {})


def speedups(found: Models, model: Model) -> np.ndarray:
    """Speedup of each batch and length over all worlds, at the one context."""
    undrafted, drafted = found.seconds(model)
    return np.asarray(undrafted.mean(axis=0)[:, 0, None] / drafted.mean(axis=0)[:, 0])


def optimal(**keys: str) -> np.ndarray:
    """The same, of optimal-k with these keys."""
    study = resolved("optimal-k", **(SMALL | keys))
    listed = optimal_k.tasks(study, WORLDS)
    done = {task.name: task.function(*task.arguments) for task in listed}
    grid = optimal_k.conclude(study, WORLDS, done, {})["results"].sort("batch", "draft_length")
    return grid["speedup"].to_numpy().reshape(2, -1)


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (ladder.POST, {"routing": "uniform", "acceptance": "0.7165", "drafter": "free", "prices": "ideal"}),
        (Model("sticky", "iid", "request", "achieved", "priced"), {"acceptance": "0.7165"}),
        (
            Model("sticky", "iid", "text", "ideal", "priced"),
            {"acceptance": "0.7165", "tail": "text", "prices": "ideal"},
        ),
    ],
)
def test_a_model_that_optimal_k_knows_has_its_cells(model: Model, keys: dict[str, str]) -> None:
    np.testing.assert_allclose(speedups(worlds_of(), model), optimal(**keys), rtol=1e-9)


def test_the_full_model_is_what_walks_find() -> None:
    """Two approximations: the tail's run at the longest length for all; and no text ends or context grows here, while
    walks of 128 tokens cut 1 to 2 % of their steps at the end.
    """
    found = worlds_of(world_requests="64")
    walked, seed = replace(found.levels.built, acceptance=found.levels.acceptance["full"]), found.seed
    assert walked.ideal is not None
    undrafted, drafted = found.seconds(found.levels.full)
    ratios = []
    for world in range(WORLDS):
        prices = [walked.drawn(seed, range(world, world + 1)), walked.ideal]
        one = walks._walked(walked, walks.draw(walked, seed, world), prices, seed, world)
        cells = walks.cells(walked, seed, [{name: values[None] for name, values in one.items()}], [])
        ratios.append((undrafted[world, ..., None] / drafted[world]) / cells.by_world[0])
    ratio, error = mean_and_error(np.array(ratios)[:, :, 0])
    for (b, i), value in np.ndenumerate(ratio[:, 1:]):
        matches(float(value), 1.0, float(error[b, i + 1]), relative=0.015, what=f"{walked.batches[b]}, {i + 1}")
    assert ratio[:, 1:].mean() > 1  # cut steps emit less


def test_levels_of_acceptance_keep_what_the_engine_prints() -> None:
    found = worlds_of().levels
    assert found.engine == pytest.approx([0.7165, 0.512, 0.3337])
    for name in ("full", "difficulty", "depth-requests"):
        law = found.acceptance[name]
        assert isinstance(law, Difficulty)
        assert centred.walked(law, [3], 0)[1] == pytest.approx(found.engine, abs=1e-3)
    for name in ("iid", "iid-requests"):
        law = found.acceptance[name]
        first = law.survival(1)[0] if isinstance(law, Acceptance) else centred.walked(law, [3], 0)[1][0]
        assert first == pytest.approx(found.engine[0], abs=1e-3)
    uncentred = replace(found.acceptance["full"], offsets=found.acceptance["depth-requests"].offsets)
    assert abs(centred.walked(uncentred, [3], 0)[1][0] - found.engine[0]) > 0.01  # the spread does matter


def test_centring_finds_offsets_that_were_there() -> None:
    process = Difficulty.of([1.5, 1.0, 0.2], request_sd=0.4, short_sd=0.8, short_tokens=2.0)
    survival = centred.walked(process, [3], 5)[1]
    again = centred.centred(replace(process, offsets=process.offsets * 0), survival, 5)
    assert np.asarray(again.offsets) == pytest.approx([1.5, 1.0, 0.2], abs=0.01)


def test_a_profile_with_difficulty_of_its_own_is_the_full_model() -> None:
    study = resolved("stress", **(SMALL | {"acceptance": "eagle-1-vicuna-7b"}))
    found = levels.prepared(study.model_dump_json(), 0)
    built = scenario.build(study, 0)
    assert found.acceptance["full"] is not None
    assert isinstance(built.acceptance, Difficulty)
    shown = difficulty.survival(built.acceptance, 1)[0][0]
    assert found.engine[0] < shown  # steps start right after a rejection, in harder text


def test_levels_of_routing_keep_the_load() -> None:
    """Popularity alone, topics and the whole profile have one token's distinct experts, and the same shares."""
    found = worlds_of()
    for name in ("popularity", "topics", "sticky"):
        process = found.levels.routing[name].process
        assert process is not None
        np.testing.assert_array_equal(process.accept, found.levels.routing["sticky"].process.accept)  # type: ignore[union-attr]
    alike = found.levels.routing["overlap"].process
    assert alike is not None
    assert np.all(np.asarray(alike.accept) == 1)
    assert alike.sectional


def test_regret_is_zero_at_the_top_and_nowhere_negative() -> None:
    rows = concluded()["results"]
    top = rows.filter(pl.col("rung") == pl.col("rung").max())
    assert top["assumption"].unique().to_list() == ["the drafter costs"]
    assert top["regret"].to_list() == [0.0, 0.0]
    assert top["regret_se"].to_list() == [0.0, 0.0]
    assert (rows["regret"] >= -3 * rows["regret_se"] - 1e-12).all()
    assert rows["regret"].max() > 0.01  # somebody does lose


def test_regret_is_of_the_length_a_model_chooses() -> None:
    """Two worlds on each side, known by hand: the first model prefers the length that is a quarter dearer."""
    drafted = np.array([[[3.0, 1.0]] * 4, [[4.0, 5.0]] * 4])
    table = Choosing(np.full((2, 4), 8.0), drafted, full=1, first=0)
    assert table.regret(np.arange(4)) == pytest.approx([1 - 4 / 5, 0])
    assert np.exp(table.believed(np.arange(4))) == pytest.approx([8.0, 2.0])
    assert np.exp(table.fixed(np.arange(4))) == pytest.approx([8 / 3, 2.0])


def test_what_chose_does_not_value() -> None:
    """Among nine equal lengths a choice looks good on its own worlds, and on others it does not."""
    drafted = 1 + 0.1 * np.random.default_rng(0).standard_normal((300, 1, 40, 9))
    honest = [Choosing(np.ones((1, 40)), one, 0, 0).believed(np.arange(40))[0] for one in drafted]
    value, error = mean_and_error(np.array(honest))
    within(float(value), 0.0, float(error), largest=0.0015)
    same = -np.log(drafted[:, 0].mean(axis=1).min(axis=1))
    assert same.mean() > 0.02


def test_shares_sum_to_what_the_game_gains() -> None:
    shares = concluded()["shares"]
    assert shares.height == 2 * 3 * len(FAMILIES)
    for _, rows in shares.group_by("batch", "game"):
        assert rows["share"].sum() == pytest.approx(rows["full"][0] - rows["none"][0], abs=1e-12)


def test_a_recorded_trace_is_the_last_rung_of_routing(tmp_path: Path) -> None:
    """Made-up tokens are uniform and independent: the recording says what uniform routing says."""
    (tmp_path / "trace.npz").write_bytes(packed(**made_up((40,) * 40, layers=24, experts=32, top_k=4)))
    given = [*sets(**SMALL), "--trace", str(tmp_path / "trace.npz"), "--worlds", "4", "--out", str(tmp_path / "out")]
    assert invoke("run", "stress", *given, "--quiet").code == 0
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet").filter(batch=8).sort("rung")
    names = rows["assumption"].to_list()
    assert names[3:5] == ["neighbouring tokens stick", "recorded trace"]
    uniform, sticky, recorded = (rows["speedup"][i] for i in (0, 3, 4))
    assert abs(recorded / uniform - 1) < 0.01 < sticky / uniform - 1
    assert rows["regret"][-1] == 0


def test_corners_are_the_ladders_ends() -> None:
    found = worlds_of().levels
    corners = ladder.corners(found)
    assert len(set(corners)) == 128
    assert corners[0] == ladder.POST == ladder.rungs(found)[0].model
    assert corners[-1] == found.full == ladder.rungs(found)[-1].model
    assert replace(corners[0b0100000], tail="text") == corners[0]  # bit 5 is the tail


def test_equal_levels_have_no_share_and_no_rung() -> None:
    found = concluded(drafter="free", prices="ideal", tail="text", routing="uniform")
    idle = found["shares"].filter(pl.col("family").is_in(["skew", "overlap", "hardware", "tail", "drafter"]))
    assert idle["share"].abs().max() < 1e-14
    assert idle["share_se"].max() < 1e-14
    assert found["results"]["family"].unique().sort().to_list() == ["acceptance", "post"]
    said = [note for note in next(iter(found.notes.values())) if note.startswith("Left out")]
    assert len(said) == 5


def test_every_frame_has_its_columns() -> None:
    for name, schema in columns.FILES["stress"].items():
        assert dict(concluded()[name].schema) == schema
        assert not concluded()[name].is_empty()


def test_batches_that_do_not_fit_are_named() -> None:
    study = resolved("stress", **(SMALL | {"context_tokens": "1_000_000"}))
    found = replace(worlds_of(), levels=levels.prepared(study.model_dump_json(), 0))
    frames: stress.Frames = {name: [] for name in columns.FILES["stress"]}
    said = stress._scenario(found, frames)
    assert said[-1] == "Batches left out, as nothing that drafts fits in memory there: 8."
    assert {row["batch"] for row in frames["results"]} == {1}


def test_a_world_does_not_know_what_block_it_is_in() -> None:
    study = resolved("stress", **SMALL)
    plain = study.model_dump_json()
    together, alone = models.block(plain, 0, 1, 2), models.block(plain, 0, 2, 1)
    for name, values in alone.items():
        np.testing.assert_array_equal(together[name][1:], values)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"draft_length": "0"}, "draft_length is 0 alone"),
        ({"hardware": "h100-sxm", "target": "deepseek-v3"}, "nothing that drafts fits in memory"),
        ({"prompt_tokens": "100", "output_tokens": "10"}, "prompt_tokens is a key of the study optimal-k"),
        ({"routing": "gpt-oss-20b-eagle-3"}, "describes acceptance, not routing"),
        ({"batch": "[1, 1000]"}, "world_requests = 256"),
    ],
)
def test_what_cannot_be_stressed_is_refused(tmp_path: Path, keys: dict[str, str], words: str) -> None:
    found = invoke("run", "stress", *sets(**keys), "--out", str(tmp_path / "out"))
    assert found.code == 2
    assert words in found.err
    assert found.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_leaves_a_page_that_says_what_the_study_does(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = invoke("run", "stress", *sets(**SMALL), "--worlds", "4", "--out", str(out), "--quiet")
    assert (found.code, found.err) == (0, "")
    page = (out / "report.html").read_text()
    rows = pl.read_parquet(out / "results.parquet")
    top = rows.filter(pl.col("rung") == pl.col("rung").max()).sort("batch")
    for row in top.iter_rows(named=True):
        assert f"{row['best_draft_length'] or 'nothing'} at batch" in page
    assert {path.name for path in (out / "figures").iterdir()} >= {
        "gpt-oss-20b-on-one-h100-sxm-ladder.svg",
        "gpt-oss-20b-on-one-h100-sxm-shares.svg",
    }
