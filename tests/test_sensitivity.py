"""sensitivity: nothing moves where nothing is unknown, what is dominant is ranked first, worths keep their order."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo import value
from montecarlo.achieved import Achieved
from montecarlo.terms import NAMES
from reports import page
from studies import columns, config, gutter, prices, scenario, sensitivity, swings, unknowns, worth
from studies.draws import Draws
from studies.prices import EDGE
from studies.response import Change, Response
from studies.results import Results
from studies.tasks import Arrays, joined
from studies.unknowns import Unknowns
from tests.statistics import all_within
from tests.test_cli import invoke, sets

OWN = {
    "target": "olmoe-1b-7b",
    "hardware": "h100-sxm",
    "drafter": "eagle-3",
    "batch": "[1, 4, 16]",
    "draft_length": "[0, 1, 2, 5]",
    "world_requests": "32",
}
ROWS = 32


def resolved(**keys: str) -> config.Study:
    given = [f"{key}={value}" for key, value in (OWN | keys).items()]
    return scenario.fill("sensitivity", config.resolve("sensitivity", None, given, {"worlds": ROWS}))


@pytest.fixture(scope="module")
def done() -> dict[str, Arrays]:
    """The surface worlds, the same for all studies here: they know neither priors nor prices."""
    return {task.name: task.function(*task.arguments) for task in sensitivity.tasks(resolved(), ROWS)}


def studied(done: dict[str, Arrays], **keys: str) -> Results:
    return sensitivity.conclude(resolved(**keys), ROWS, done, {})


def response(done: dict[str, Arrays], **keys: str) -> Response:
    built = sensitivity.prepared(resolved(**keys).model_dump_json(), 0)
    return Response.of(Unknowns.of(built), joined(list(done.values()))["distinct"])


@pytest.fixture(scope="module")
def own(done: dict[str, Arrays]) -> Results:
    return studied(done)


@pytest.fixture
def sure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Traffic without unknowns, and a prices file in which every term is known, at its median."""
    given = copy.deepcopy(unknowns.table()["unknown"])
    given["overlap"]["quantiles"] = [1.0, 1.0, 1.0]
    given["acceptance"]["sd"] = given["decay"]["sd"] = 0.0
    monkeypatch.setitem(unknowns.table(), "unknown", given)
    median = prices.load("achieved", "h100-sxm", "bf16").median()
    lines = [f"[terms.{name}]\nvalue = {getattr(median, name)!r}" for name in NAMES]
    (tmp_path / "sure.toml").write_text("\n".join(lines))
    return str(tmp_path / "sure.toml")


def test_every_frame_has_its_columns_and_rows(own: Results) -> None:
    for name, schema in columns.FILES["sensitivity"].items():
        assert dict(own[name].schema) == dict(pl.Schema(schema))
        assert not own[name].is_empty()


def test_where_nothing_is_unknown_nothing_moves_and_nothing_is_worth_knowing(
    done: dict[str, Arrays], sure: str
) -> None:
    found = studied(done, prices=sure)
    assert set(found["unknowns"]["group"]) == {"overlap", "acceptance", "decay"}
    shares = found["indices"]
    assert all(abs(share) < 1e-9 for order in ("first", "total") for share in shares[order].drop_nulls())
    all_within(shares["variance"].to_numpy(), 0.0, shares["variance_se"].to_numpy(), largest=1e-3)
    worths = found["worth"]
    all_within(worths["percent"].to_numpy(), 0.0, worths["percent_se"].to_numpy(), largest=0.1)
    ends = found["tornado"]
    assert ends["speedup_low"].to_list() == ends["speedup_high"].to_list() == ends["speedup_median"].to_list()
    assert found["screening"]["strength"].abs().max() == 0


def test_noise_of_inner_worlds_is_no_information(done: dict[str, Arrays], sure: str) -> None:
    """Lengths alike but for large noise: honest worths are 0, and not splitting the halves shows a value."""
    quiet = response(done, prices=sure)
    noisy = quiet.pool + np.random.default_rng(5).normal(0, 4.0, quiet.pool.shape)
    draws = Draws.of(dataclasses.replace(quiet, pool=noisy), 0, ROWS)
    even = draws.halves.log_rate - draws.halves.log_rate.mean(axis=1, keepdims=True)  # no length better on the mean
    honest = value.evpi(even)
    all_within(np.minimum(honest.value, 0.0), 0.0, honest.error, largest=0.01)
    assert np.all(honest.value < 3 * honest.error)
    greedy = value.evpi_at_most(even)
    assert np.all(greedy.value > 5 * greedy.error)


def test_a_dominant_unknown_is_ranked_first_everywhere(done: dict[str, Arrays], tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("[terms.drafted_step_seconds]\nquantiles = [1e-5, 5e-3, 0.5]\n")
    found = studied(done, prices=str(tmp_path / "wide.toml"))
    for name, by in (("indices", "total"), ("screening", "strength")):
        rows = found[name].filter(figure="log_speedup") if name == "indices" else found[name]
        for _, part in rows.group_by("batch"):
            assert part.sort(by, descending=True, nulls_last=True)["group"][0] == "drafted_step_seconds"
    knowing = found["worth"].filter(pl.col("kind") == "unknown", pl.col("batch").is_null())
    assert knowing.sort("percent", descending=True)["what"][0] == "drafted_step_seconds"


def test_indices_agree_with_a_slow_double_loop(done: dict[str, Arrays]) -> None:
    draws = Draws.of(response(done), 0, 512)
    rows = pl.DataFrame(list(swings.indices(draws, 512)))
    count, inner = len(draws.unknowns.columns), 96
    random = np.random.default_rng(3)

    def at(points: np.ndarray) -> np.ndarray:
        flat = draws.response.speedup(points.reshape(-1, count))
        return np.log(draws.at_shown(flat)).reshape(*points.shape[:-1], -1)

    for group in ("acceptance", "drafted_step_seconds", "overlap"):
        points = random.standard_normal((256, inner, count))
        column = draws.unknowns.columns.index(group)
        points[..., column] = points[:, :1, column]
        y = at(points)  # [outer, inner, batches]
        inside = y.var(axis=1, ddof=1)
        explained = (y.mean(axis=1) - y.mean(axis=(0, 1))) ** 2 - inside / inner
        total = explained + inside
        slow = explained.mean(axis=0) / total.mean(axis=0)
        error = np.std(explained - slow * total, axis=0) / 16 / total.mean(axis=0)
        found = rows.filter(group=group, figure="log_speedup")
        both = np.hypot(error, found["first_se"].to_numpy())
        all_within(found["first"].to_numpy(), slow, both, largest=0.12)


def test_worths_keep_their_order(done: dict[str, Arrays]) -> None:
    """0 <= EVSI(n) <= EVSI(more) <= EVPPI <= EVPI, each within the errors of both."""
    draws = Draws.of(response(done), 0, 128)
    worths = pl.DataFrame(list(worth.rows(draws)), schema=columns.FILES["sensitivity"]["worth"])
    at_most = value.evpi_at_most(draws.halves.log_rate).percent
    for batch, most in zip(draws.response.batches, at_most, strict=True):
        here = worths.filter(batch=batch)
        every = here.filter(kind="everything").row(0, named=True)
        assert every["percent"] <= most + 1e-9
        for row in here.iter_rows(named=True):
            assert row["percent"] >= -4 * row["percent_se"] - 1e-9
            assert row["percent"] <= most + 4 * (row["percent_se"] + every["percent_se"])
        shown = {"acceptance_log": "acceptance + decay", "routing_trace": "overlap"}
        for what, bound in shown.items():
            sizes = here.filter(what=what).sort("size").to_dicts()
            known = here.filter(kind="unknown", what=bound).row(0, named=True)
            for less, more in zip(sizes, [*sizes[1:], known], strict=True):
                assert less["percent"] <= more["percent"] + 4 * np.hypot(less["percent_se"], more["percent_se"])
    first = worths.filter(pl.col("what") == "acceptance_log", pl.col("batch").is_null()).sort("size")
    assert first["percent"][2] > 3 * first["percent_se"][2]  # the chain above is not of zeros alone


@pytest.mark.parametrize(("term", "edge"), [("step_seconds", 4e-3), ("pass_seconds", 1e-4), ("kv_reads", 0.40)])
def test_a_tornado_end_is_a_run_with_that_value(
    done: dict[str, Arrays], own: Results, tmp_path: Path, term: str, edge: float
) -> None:
    (tmp_path / "end.toml").write_text(f"[terms.{term}]\nvalue = {edge}\n")
    alone = response(done, prices=str(tmp_path / "end.toml"))
    points = np.zeros((1, len(alone.unknowns.columns)))
    speedup = alone.speedup(points)[0]
    end = "speedup_low" if term == "pass_seconds" else "speedup_high"
    for b, row in enumerate(own["tornado"].filter(group=term).sort("batch").iter_rows(named=True)):
        k = alone.unknowns.built.lengths.index(row["draft_length"])
        assert row[end] == pytest.approx(speedup[b, k], rel=1e-9)


def test_a_point_is_the_price_of_its_terms_and_the_tokens_of_its_hazards(done: dict[str, Arrays]) -> None:
    """Medians, priced one kernel at a time by the scenario's own prices."""
    found = response(done)
    built, prices_ = found.unknowns.built, found.unknowns.built.prices
    assert isinstance(prices_, Achieved)
    experts = np.maximum.accumulate(found.pool.mean(axis=(0, 1)), axis=-1)
    speedup = found.speedup(np.zeros((1, len(found.unknowns.columns))))[0]
    emitted = built.acceptance.tokens_per_step(np.asarray(built.lengths))  # type: ignore[union-attr]
    for b, batch in enumerate(found.batches):

        def verify(k: int, b: int = b, batch: int = batch) -> float:
            moe = prices_.moe_seconds(batch * (k + 1), experts[b, k])
            return float(prices_.other_seconds(batch, k, built.contexts[0]) + built.layers * moe)

        for i, k in enumerate(built.lengths):
            draft = float(prices_.draft_seconds(batch, k, built.contexts[0], verify(0)))
            assert speedup[b, i] == pytest.approx(emitted[i] * verify(0) / (verify(k) + draft), rel=1e-9)


def test_overlap_moves_what_neighbours_share_and_not_the_undrafted_step(done: dict[str, Arrays]) -> None:
    found = response(done)
    mean = found.pool.mean(axis=(0, 1))
    np.testing.assert_allclose(mean[:, 0], found.independent[:, 0], rtol=5e-3)
    assert np.all(mean[:, 1:] < found.independent[:, 1:])
    zeros = np.zeros((1, len(found.unknowns.columns)))
    as_is, none, more = (found.expected(zeros, Change(overlap=factor)) for factor in (1.0, 0.0, 1.5))
    np.testing.assert_allclose(none[0], as_is[0], rtol=5e-3)
    assert np.all(none[1][..., 1:] < as_is[1][..., 1:])
    assert np.all(more[1][..., 1:] > as_is[1][..., 1:])


def test_many_points_are_the_draws_one_by_one() -> None:
    known = prices.load("achieved", "h200-sxm", "mxfp4")
    normals = np.random.default_rng(0).standard_normal((5, len(NAMES)))
    many = known.many(normals, 1)
    for row, one in enumerate(normals):
        for name in NAMES:
            assert getattr(many, name)[row, 0] == pytest.approx(dict(known.values(one))[name], rel=1e-14)
    assert many.largest_captured == known.median().largest_captured


def test_terms_that_are_known_together_are_one_group() -> None:
    groups = prices.load("achieved", "h200-sxm", "mxfp4").groups()
    joint = {"unhidden", "expert_activations", "expert_bandwidth", "moe_layer_seconds", "peak_widened"}
    assert joint in [set(group) for group in groups]
    assert sorted(name for group in groups for name in group) == sorted(NAMES)
    assert all(len(group) == 1 for group in prices.load("achieved", "b200-sxm", "mxfp4").groups())


def test_hazards_move_in_logits_and_by_doublings(done: dict[str, Arrays]) -> None:
    known = response(done).unknowns
    point = np.zeros((1, len(known.columns)))
    base = known.hazards(point)[0]
    point[0, known.columns.index("acceptance")], point[0, known.columns.index("decay")] = 1.0, EDGE
    moved = known.hazards(point)[0]
    change = np.log(moved / (1 - moved)) - np.log(base / (1 - base))
    np.testing.assert_allclose(change, 0.3 - 0.2 * EDGE * np.log2([1, 2, 3, 4, 5]), rtol=1e-9)


def test_a_gutter_lies_between_batches_that_pay() -> None:
    yes, no = True, False
    pays = np.array([[yes, no, no, yes], [no, no, yes, yes], [yes, no, no, no], [yes, yes, yes, yes]])
    assert gutter.between(pays).tolist() == [[no, yes, yes, no], [no] * 4, [no] * 4, [no] * 4]


def test_rows_do_not_depend_on_how_many_there_are(done: dict[str, Arrays]) -> None:
    found = response(done)
    few, many = (Draws.of(found, 0, rows) for rows in (16, 32))
    np.testing.assert_array_equal(many.halves.log_rate[:, : len(few.points)], few.halves.log_rate)


def test_an_improvement_is_worth_its_change(done: dict[str, Arrays]) -> None:
    draws = Draws.of(response(done), 0, 16)
    rows = pl.DataFrame(list(worth.improvements(draws)))
    assert set(rows["improvement"]) == {"acceptance", "overlap", "drafting", "fixed"}
    assert rows.filter(pl.col("draft_length") > 0)["percent"].min() > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        ({"prices": "ideal"}, {"overlap", "acceptance", "decay"}),
        ({"target": "llama-3-8b", "prices": "ideal"}, {"acceptance", "decay"}),
        ({"target": "llama-3-8b"}, {*NAMES, "acceptance", "decay"}),
    ],
)
def test_rooflines_and_dense_targets_have_fewer_unknowns(keys: dict[str, str], groups: set[str]) -> None:
    study = resolved(**(keys | {"batch": "[1, 2]", "draft_length": "[0, 1]", "world_requests": "4"}))
    arrays = [task.function(*task.arguments) for task in sensitivity.tasks(study, 16)]
    names = [task.name for task in sensitivity.tasks(study, 16)]
    found = sensitivity.conclude(study, 16, dict(zip(names, arrays, strict=True)), {})
    assert set(found["unknowns"]["group"]) == groups
    assert found["results"]["speedup"].is_not_null().all()
    assert page.brief(found).sentences


def test_a_run_leaves_a_report_and_the_answer_as_json(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = invoke("run", "sensitivity", *sets(**OWN), "--worlds", "20", "--out", str(out), "--json")
    assert found.code == 0, found.err
    said = json.loads(found.out)
    assert "hangs on" in said["answer"][0]
    assert "worth" in said["answer"][0]
    assert {"worth", "gutter", "improvements", "best"} <= said.keys()
    assert any("rounded up to 32 rows" in note for notes in said["notes"].values() for note in notes)
    assert (out / "report.html").read_text().count("<figure>") == 5
    before = (out / "report.html").read_bytes()
    page.render(out)
    assert (out / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"acceptance": "eagle-1-vicuna-7b"}, "`draftodds run optimal-k` walks"),
        ({"context_tokens": "[1024, 4096]"}, "one context_tokens, not 2"),
        ({"draft_length": "[1, 3]"}, "give draft_length a 0"),
        ({"draft_length": "[0]"}, "a length above it"),
        ({"context_tokens": "900000000"}, "nothing fits in memory"),
        ({"terms": "['experts']"}, "terms is a key of the study economics"),
    ],
)
def test_what_cannot_be_studied_is_said_in_one_line(tmp_path: Path, keys: dict[str, str], words: str) -> None:
    found = invoke("run", "sensitivity", *sets(**(OWN | keys)), "--out", str(tmp_path / "out"))
    assert (found.code, words in found.err, found.err.count("\n")) == (2, True, 1), found.err
    assert not (tmp_path / "out").exists()
