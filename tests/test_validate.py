"""validate on made-up engines: what it predicts, what it calls measured and naive, and what it never looks at."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montecarlo import closed
from montecarlo.cost import Ideal
from montecarlo.overlap import Overlap
from studies import config, measured, validate
from studies.results import Results
from tests import statistics
from tests.measured_rows import EMITTED, engine, row, write
from tests.synthetic_engine import GIVEN, PRIORS

WORLDS = 60


def run(path: Path, worlds: int = WORLDS) -> Results:
    study = validate.fill(config.resolve("validate", None, [f"measured={path}"], {}))
    return validate.conclude(study, worlds, {}, {})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Results:
    lines = engine(PRIORS.median(), 0.0, 0)
    return run(write(tmp_path_factory.mktemp("rows") / "mine.csv", lines))


def test_an_engine_at_the_medians_is_predicted(found: Results) -> None:
    """No noise, terms at their medians: nothing to learn, so errors are those of a median over skewed draws."""
    results = found["results"]
    assert results.height == 3 * 2 * 8
    assert results["covered"].all()
    ratios = results.filter(quantity="step ratio")
    assert float(np.median(np.abs(ratios["error"].to_numpy()))) < 0.05
    assert set(results["discrepancy"]) == {0.05}


def test_quantities_are_what_their_names_say(found: Results) -> None:
    rows = {(r["quantity"], r["batch"], r["draft_length"]): r for r in found["results"].iter_rows(named=True)}
    for batch in (1, 128):
        ratio, gain = rows["step ratio", batch, 3], rows["throughput gain", batch, 3]
        assert ratio["tokens_per_step"] == EMITTED[3]
        assert ratio["tokens_only"] == 1
        assert gain["tokens_only"] == EMITTED[3]
        token = rows["seconds per token", batch, 3]  # throughput is concurrency over time per token in these rows
        assert token["tokens_only"] == pytest.approx(token["measured"] * gain["measured"] / EMITTED[3])
        # prompts: what steps gain is more than throughput does
        assert gain["measured"] < EMITTED[3] / ratio["measured"]


def test_the_roofline_predictor_is_ideal_prices_with_uniform_routing(found: Results) -> None:
    moe = GIVEN.target.moe
    assert moe is not None
    prices = Ideal(GIVEN.target, GIVEN.hardware, GIVEN.drafter)
    grid = closed.grid(prices, Overlap.uniform(moe.experts, moe.top_k), [16], [2250], [0, 3])
    expected = grid.step[0, 0, 1] / grid.step[0, 0, 0]
    here = found["results"].filter(quantity="step ratio", batch=16, draft_length=3)
    assert here["roofline"][0] == pytest.approx(float(expected), rel=1e-12)


def test_the_length_followed_is_the_fastest_predicted_and_what_it_loses_is_of_measured_rates(found: Results) -> None:
    gains = found["results"].filter(quantity="throughput gain")
    for choice in found["choices"].iter_rows(named=True):
        here = {r["draft_length"]: r["measured"] for r in gains.filter(batch=choice["batch"]).iter_rows(named=True)}
        reached = {0: 1.0} | here
        best = max(reached, key=lambda length: reached[length])
        assert choice["measured_best"] == best
        for name, lost in (("predicted", "rate_lost"), ("roofline", "roofline_rate_lost")):
            assert choice[lost] == pytest.approx(1 - reached[choice[f"{name}_best"]] / reached[best])
        assert choice["tokens_only_best"] == 3
        assert choice["undrafted_rate_lost"] == pytest.approx(1 - 1 / reached[best])
        assert choice["rate_lost"] < 0.02


def test_intervals_cover_made_up_engines_as_often_as_they_say(tmp_path: Path) -> None:
    """12 engines, 8 concurrencies x 2 lengths: coverage of step ratios; engines are the unit of the error."""
    shares = []
    for number in range(12):
        path = write(tmp_path / f"{number}.csv", engine(PRIORS.draw(4, number), 0.05, number))
        table = run(path)["results"].filter(quantity="step ratio")
        shares.append(float(table["covered"].cast(pl.Float64).to_numpy().mean()))
    mean, error = statistics.mean_and_error(np.array(shares))
    statistics.within(float(mean), 0.9, float(error), largest=0.05)


def test_what_is_predicted_is_never_looked_at(tmp_path: Path) -> None:
    """Rows with drafts twice as slow: the same predictions, and other errors."""
    lines = engine(PRIORS.draw(4, 1), 0.05, 1)
    slow = []
    for line in lines:
        cells = line.split(",")
        if cells[7] != "0":
            cells[12], cells[13], cells[14] = (
                str(float(c) * f) for c, f in zip(cells[12:15], (2, 2, 0.5), strict=True)
            )
        slow.append(",".join(cells))
    one, other = (run(write(tmp_path / f"{i}.csv", each))["results"] for i, each in enumerate((lines, slow)))
    for name in ("predicted", "predicted_p05", "predicted_p95", "roofline"):
        assert one[name].to_list() == other[name].to_list()
    ratio = other.filter(quantity="step ratio")["measured"] / one.filter(quantity="step ratio")["measured"]
    assert ratio.to_list() == pytest.approx([2] * ratio.len(), rel=1e-9)


def test_without_times_of_steps_throughputs_give_the_step_ratio_alone(tmp_path: Path) -> None:
    plain = {"hardware": "", "devices": "", "step_seconds": ""}
    lines = [
        row(**plain, tokens_per_second=1200),
        row(**plain, tokens_per_second=1500, draft_length=3, tokens_per_step=2.5),
    ]
    results = run(write(tmp_path / "rates.csv", lines))
    assert results["results"]["quantity"].to_list() == ["step ratio"]
    assert results["results"]["measured"][0] == pytest.approx(2.5 * 1200 / 1500)
    assert results["terms"]["hardware"][0] in validate.DEVICES
    assert 0 < results["terms"]["likelihood"][0] <= 1


def test_tokens_of_another_text_widen_what_depends_on_them(tmp_path: Path) -> None:
    def width(error: str) -> float:
        lines = [
            row(seconds_per_token=0.01, step_seconds=""),
            row(
                seconds_per_token=0.006,
                step_seconds="",
                draft_length=3,
                tokens_per_step=2.5,
                tokens_per_step_error=error,
            ),
        ]
        table = run(write(tmp_path / f"error{error}.csv", lines), 300)["results"].filter(quantity="seconds per token")
        return float(table["predicted_p95"][0] / table["predicted_p05"][0])

    assert width("0.3") > 1.2 * width("")


@pytest.mark.parametrize("name", measured.SHIPPED)
def test_shipped_rows_are_read_and_have_a_source(name: str) -> None:
    for group in measured.read(name):
        assert group.rows["source"].null_count() == 0
        assert set(group.rows["draft_length"]) > {0}


def test_hardware_that_was_not_said_is_weighed_by_the_rows_without_drafts(tmp_path: Path) -> None:
    """The likeliest hardware of a faster engine has more bandwidth in all."""
    likely = {}
    for name, rate in (("slow", 600), ("fast", 4000)):
        plain = {"target": "qwen3-30b-a3b", "hardware": "", "devices": "", "step_seconds": ""}
        lines = [
            row(**plain, tokens_per_second=rate),
            row(**plain, tokens_per_second=1.2 * rate, draft_length=3, tokens_per_step=2.5),
        ]
        first = run(write(tmp_path / f"{name}.csv", lines))["terms"].row(0, named=True)
        likely[name] = first["devices"] * validate.catalog.hardware(first["hardware"]).bandwidth
    assert likely["slow"] < likely["fast"]
