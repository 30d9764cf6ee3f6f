"""Priors of achieved prices: quantiles come back, draws are of (seed, world) alone, files stack, faults are named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from montecarlo.errors import InputError
from montecarlo.terms import NAMES, PARTS, SHARES
from studies import prices
from tests import statistics

JOINT = """
title = "one machine"
[joint]
terms = ["step_seconds", "bandwidth"]
median = [0.002, 0.7]
covariance = [[0.04, -0.03], [-0.03, 0.09]]
[terms.pass_seconds]
value = 0.0005
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> str:
        (tmp_path / "mine.toml").write_text(text)
        return str(tmp_path / "mine.toml")

    return write


def draws(priors: prices.Priors, worlds: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    found = [priors.draw(seed, world) for world in range(worlds)]
    return {name: np.array([getattr(one, name) for one in found]) for name in NAMES}


def test_every_term_is_shipped_with_a_unit_a_source_and_a_reason() -> None:
    shipped = prices.shipped()
    assert set(shipped.terms) == set(NAMES)
    assert shipped.largest_captured == 512
    for name, term in shipped.terms.items():
        assert all((term.unit, term.source, term.why)), name
        low, middle, high = term.quantiles or (0, 0, 0)
        assert 0 < low < middle < high, name
    for where in shipped.where:
        assert where.hardware
        assert where.joint is None or (where.joint.source and where.joint.why)
    assert list(prices._sections(shipped))
    assert not [fault for place, one in prices._sections(shipped) for fault in prices._faults(place, one)]


def test_draws_have_the_quantiles_of_the_file() -> None:
    """Of 2,000 draws: shares below the 5 %, 50 % and 95 % quantile within 4 standard errors, for all 18 terms."""
    priors = prices.load("achieved", "b200-sxm", "bf16")
    median, found = priors.median(), draws(priors, 2000)
    shipped = prices.shipped().terms
    levels = np.array([0.05, 0.5, 0.95])
    shares = [[np.mean(found[name] <= q) for q in shipped[name].quantiles or ()] for name in NAMES]
    errors = np.sqrt(levels * (1 - levels) / 2000)
    statistics.all_within(shares, np.tile(levels, (len(NAMES), 1)), np.tile(errors, (len(NAMES), 1)), largest=0.012)
    for name in NAMES:
        assert getattr(median, name) == pytest.approx((shipped[name].quantiles or [0, 0, 0])[1])


def test_a_draw_is_of_seed_and_world_alone(written) -> None:
    """Not of the order asked for, nor of what else a file holds: only the terms a file gives change."""
    shipped, mine = (prices.load(given, "b200-sxm", "bf16") for given in ("achieved", written(JOINT)))
    assert shipped.draw(3, 7) == draws_one(shipped, 3, 7)
    assert shipped.draw(3, 7) != shipped.draw(3, 8)
    assert shipped.draw(3, 7) != shipped.draw(4, 7)
    same = {name: getattr(shipped.draw(3, 7), name) for name in ("step_seconds", "bandwidth", "pass_seconds")}
    assert replace(mine.draw(3, 7), **same) == shipped.draw(3, 7)


def draws_one(priors: prices.Priors, seed: int, world: int):
    for other in (9, 1, world):
        found = priors.draw(seed, other)
    return found


def test_a_joint_has_its_medians_and_covariance(written) -> None:
    """In the log of seconds and the logit of shares."""
    priors = prices.load(written(JOINT), "h200-sxm", "mxfp4")
    median, found = priors.median(), draws(priors, 4000)
    assert (median.step_seconds, median.bandwidth) == (pytest.approx(0.002), pytest.approx(0.7))
    assert (found["pass_seconds"] == 0.0005).all()
    first = np.log(found["step_seconds"])
    second = np.log(found["bandwidth"] / (1 - found["bandwidth"]))
    errors = [(0.04 * 2**0.5), (0.04 * 0.09 + 0.03**2) ** 0.5, 0.09 * 2**0.5]
    observed = np.cov(first, second)
    statistics.all_within(
        [observed[0, 0], observed[0, 1], observed[1, 1]],
        [0.04, -0.03, 0.09],
        np.array(errors) / 4000**0.5,
        largest=0.003,
    )


def test_a_joint_of_one_term_is_that_term_alone(written) -> None:
    """Symmetric quantiles in the log are a normal: the same world draws the same number either way."""
    edges = 0.002 * np.exp(np.array([-0.3, 0.0, 0.3]))
    alone = prices.load(written(f"[terms.step_seconds]\nquantiles = {edges.tolist()}"), "h200-sxm", "bf16")
    spread = (0.3 / 1.6448536269514722) ** 2
    joint = f"[joint]\nterms = ['step_seconds']\nmedian = [0.002]\ncovariance = [[{spread}]]"
    together = prices.load(written(joint), "h200-sxm", "bf16")
    for world in range(20):
        assert together.draw(0, world).step_seconds == pytest.approx(alone.draw(0, world).step_seconds, rel=1e-12)


def test_where_holds_for_its_hardware_and_experts_and_comes_last(written) -> None:
    given = written(
        "largest_captured = 64\n[terms.bandwidth]\nvalue = 0.5\n"
        '[[where]]\nhardware = ["b200-sxm"]\nlargest_captured = 1024\nterms.bandwidth.value = 0.6\n'
        '[[where]]\nexperts = ["mxfp4"]\nterms.bandwidth.value = 0.9\n'
    )

    def found(hardware: str, experts: str | None) -> tuple[float, int | None]:
        terms = prices.load(given, hardware, experts).median()
        return float(terms.bandwidth), terms.largest_captured

    assert found("h100-sxm", "bf16") == (0.5, 64)
    assert found("b200-sxm", "bf16") == (0.6, 1024)
    assert found("b200-sxm", "mxfp4") == (0.9, 1024)
    assert found("h100-sxm", None) == (0.5, 64)


def test_a_written_file_reads_back(tmp_path: Path, written) -> None:
    file = prices.read(Path(written(JOINT)))
    (tmp_path / "again.toml").write_text(file.toml())
    assert prices.read(tmp_path / "again.toml") == file


def test_all_faults_of_a_file_are_said_at_once(written) -> None:
    given = written(
        '[terms.bandwith]\nvalue = 0.5\n[terms.bandwidth]\nquantiles = [0.9, 0.8, 1.0]\n[terms.unhidden]\nunit = "x"\n'
        "[terms.step_seconds]\nvalue = -1.0\n"
        '[[where]]\nhardware = ["h20"]\n[where.joint]\nterms = ["pass_seconds", "pass_seconds"]\n'
        "median = [0.0, 1.0]\ncovariance = [[1.0, 2.0], [2.0, 1.0]]\n"
    )
    with pytest.raises(InputError) as caught:
        prices.load(given, "h200-sxm", "bf16")
    for said in (
        "bandwith is no term; allowed: bandwidth,",
        "bandwidth has quantiles [0.9, 0.8, 1.0]; they must rise, above 0 and below 1",
        "unhidden needs either a value or quantiles",
        "step_seconds is -1.0; it must be 0 or more, in seconds",
        "where.0.joint: it names a term twice",
        "where.0.joint: the median of pass_seconds is 0.0; it must be above 0",
        "where.0.joint: the covariance must be symmetric and positive definite",
        "where.0.hardware is 'h20'; allowed: a100-80g-sxm,",
    ):
        assert said in str(caught.value), said
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "x: Extra inputs are not permitted"),
        (
            "[terms.bandwidth]\nquantiles = [0.1, 0.2]\nvalue = 'a'",
            "terms.bandwidth.quantiles: .*; .*|terms.bandwidth.value",
        ),
        ("[joint]\nterms = ['bandwidth']\nmedian = [0.5, 0.5]\ncovariance = [[1.0]]", "1 terms need 1 medians"),
        ("title = 'empty'", "gives no terms"),
        ("title = ", "is not TOML"),
    ],
)
def test_what_is_no_prices_file_is_refused(written, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        prices.load(written(text), "h200-sxm", "bf16")


def test_the_page_names_every_term_and_its_example_is_a_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "prices.md").read_text("utf-8")
    assert not [name for name in NAMES if f"`{name}`" not in page]
    (tmp_path / "mine.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    terms = prices.load(str(tmp_path / "mine.toml"), "h200-sxm", "mxfp4").median()
    given = (terms.largest_captured, terms.step_seconds, terms.bandwidth, terms.moe_layer_seconds)
    assert given == pytest.approx((256, 0.0021, 0.83, 4.2e-5))
    assert prices.load(str(tmp_path / "mine.toml"), "b200-sxm", "mxfp4").median().moe_layer_seconds == pytest.approx(
        1.8e-5
    )


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="unknown prices 'achived'; did you mean 'achieved'"):
        prices.load("achived", "h200-sxm", "bf16")
    assert {*SHARES, *PARTS} < set(NAMES)
