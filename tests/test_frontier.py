"""frontier: what fits, which points are on it, what they cost, and what drafting and a larger batch gain."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo import closed, memory
from montecarlo.cost import Ideal
from studies import columns, config, frontier, scenario
from studies.results import Results
from tests.test_cli import invoke, sets

OWN = {"target": "gpt-oss-120b", "hardware": "h200-sxm", "context_tokens": "[2000, 60000]", "prices": "ideal"}


def resolved(**keys: str) -> config.Study:
    given = [f"{key}={value}" for key, value in keys.items()]
    return scenario.fill("frontier", config.resolve("frontier", None, given, {}))


def studied(**keys: str) -> Results:
    return frontier.conclude(resolved(**keys), 0, {}, {})


@pytest.fixture(scope="module")
def own() -> Results:
    return studied(**OWN, dollars_per_device_hour="3.5", seconds_per_token="0.004")


def test_every_frame_has_its_columns(own: Results) -> None:
    for name, schema in columns.FILES["frontier"].items():
        assert dict(own[name].schema) == schema
        assert not own[name].is_empty()


def test_the_ladder_ends_where_one_more_sequence_does_not_fit(own: Results) -> None:
    built = frontier.prepared(resolved(**OWN).model_dump_json(), 0)
    prices = built.prices
    assert isinstance(prices, Ideal)
    for (context, length), rows in own["results"].group_by("context_tokens", "draft_length"):
        most = int(str(rows["batch"].max()))
        needed = [
            memory.needed_bytes(prices.target, prices.drafter, batch, context, length) for batch in (most, most + 1)
        ]
        assert needed[0] <= prices.hardware.memory < needed[1]
        assert rows.filter(batch=most)["memory_bytes"].item() == needed[0]


def test_drafting_takes_room_so_the_largest_batch_is_smaller(own: Results) -> None:
    most = own["results"].group_by("context_tokens", "draft_length").agg(pl.col("batch").max()).sort("draft_length")
    for (_,), rows in most.group_by("context_tokens"):
        assert (np.diff(rows.sort("draft_length")["batch"]) <= 0).all()
        assert rows["batch"][0] > rows["batch"][-1]


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


@given(POINTS)
def test_the_frontier_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    user, device = np.array(points, float).T
    found = frontier.undominated(user, device)
    for i, (u, d) in enumerate(points):
        beaten = any((x >= u and y >= d and (x > u or y > d)) for x, y in points)
        assert found[i] == (not beaten)


def test_points_say_what_user_and_device_get(own: Results) -> None:
    for row in own["results"].iter_rows(named=True):
        assert row["tokens_per_second_user"] == pytest.approx(row["tokens_per_step"] / row["step_seconds"])
        assert row["tokens_per_second_device"] == pytest.approx(row["batch"] * row["tokens_per_second_user"])
        hours = 1e6 / row["tokens_per_second_device"] / 3600
        assert row["dollars_per_million_tokens"] == pytest.approx(3.5 * hours)
    free = studied(**OWN)["results"]
    assert free["dollars_per_million_tokens"].null_count() == free.height


def test_the_best_under_an_objective_is_the_best_of_all_points_under_it(own: Results) -> None:
    seen = 0
    for row in own["operating"].iter_rows(named=True):
        points = own["results"].filter(context_tokens=row["context_tokens"])
        allowed = points if row["drafting"] else points.filter(draft_length=0)
        if row["seconds_per_token"] is not None:
            allowed = allowed.filter(1 / pl.col("tokens_per_second_user") <= row["seconds_per_token"])
        assert row["tokens_per_second_device"] == allowed["tokens_per_second_device"].max()
        if row["batch"] is not None:
            seen += 1
            at = allowed.filter(batch=row["batch"], draft_length=row["draft_length"])
            assert at["tokens_per_second_device"].item() == row["tokens_per_second_device"]
    assert seen == own["operating"].height == 8
    assert set(own["operating"]["seconds_per_token"]) == {None, 0.004}


def test_an_objective_that_nothing_meets_leaves_nothing() -> None:
    found = studied(**OWN, seconds_per_token="1e-9")["operating"]
    unmet = found.filter(pl.col("seconds_per_token").is_not_null())
    assert unmet["batch"].null_count() == unmet.height == 4


def test_trades_compare_drafting_with_twice_the_batch(own: Results) -> None:
    built = frontier.prepared(resolved(**OWN).model_dump_json(), 0)
    for context in built.contexts:
        limit = frontier.largest_batch(built.prices, context)
        for row in own["trades"].filter(context_tokens=context).iter_rows(named=True):
            batch = row["batch"]
            one, two = (
                float(closed.grid(built.prices, built.overlap, [size], [context], [0]).base[0, 0, 0])
                for size in (batch, 2 * batch)
            )
            assert (row["doubling_gain"] is not None) == (2 * batch <= limit)
            if row["doubling_gain"] is not None:
                assert row["doubling_gain"] == pytest.approx(2 * one / two)
                assert row["doubling_user_gain"] == pytest.approx(one / two)
                assert 1 <= row["doubling_gain"] <= 2 + 1e-12
            cells = own["results"].filter(context_tokens=context, batch=batch)
            assert row["drafting_gain"] == pytest.approx(cells["speedup"].max())


def test_what_fits_nowhere_leaves_empty_frames() -> None:
    found = studied(target="deepseek-v3", hardware="h100-sxm")
    assert found["results"].is_empty()
    assert found["trades"].is_empty()
    assert found["operating"]["batch"].null_count() == found["operating"].height


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    for keys, message in (
        ({"target": "deepseek-v4-flash", "hardware": "b200-sxm", "prices": "post"}, "no memory"),
        ({"draft_length": "[1, 2]"}, "draft_length a 0"),
        ({"seconds_per_token": "0"}, "seconds_per_token"),
        ({"dollars_per_device_hour": "-1"}, "dollars_per_device_hour"),
    ):
        found = invoke("run", "frontier", *sets(**keys), "--out", str(tmp_path / "out"))
        assert (found.code, message in found.err) == (2, True), found.err
    assert not (tmp_path / "out").exists()
