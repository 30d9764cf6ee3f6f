"""What is said of verify steps, against loops over the steps, closed forms, known processes and published figures."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import f_oneway, norm

from tests.described_traces import described, logged, stepped
from tests.statistics import refused, within
from traces import spread

Turns = list[list[list[int]]]


def made_up(seed: int = 0) -> tuple[Turns, Turns]:
    """(accepted, drafted) by request and turn, of lengths that vary, some turns of one step."""
    draw = np.random.default_rng(seed)
    drafted = [
        [draw.integers(0, 6, draw.integers(1, 30)).tolist() for _ in range(draw.integers(1, 4))] for _ in range(40)
    ]
    accepted = [[[int(draw.integers(0, deep + 1)) for deep in turn] for turn in of] for of in drafted]
    return accepted, drafted


def of(tmp_path: Path, turns: Turns, drafted: Any = 5, **known: Any) -> dict[str, pl.DataFrame]:
    return described(stepped(tmp_path / "t", logged(turns, drafted, **known)))


def whole(frame: pl.DataFrame, **where: object) -> dict[str, Any]:
    (row,) = frame.filter(by="all", **where).iter_rows(named=True)
    return row


def test_hazards_are_those_of_a_loop(tmp_path: Path) -> None:
    accepted, drafted = made_up()
    found = of(tmp_path, accepted, drafted)["runs"].filter(by="all")
    steps = [
        (a, d, place == len(turn) - 1)
        for request, deep in zip(accepted, drafted, strict=True)
        for turn, limits in zip(request, deep, strict=True)
        for place, (a, d) in enumerate(zip(turn, limits, strict=True))
    ]
    survival = 1.0
    for row in found.iter_rows(named=True):
        depth = row["depth"]
        risk = [a for a, d, cut in steps if d >= depth and a >= depth - 1 and not cut]
        passed = [a for a in risk if a >= depth]
        survival *= len(passed) / len(risk)
        assert (row["at_risk"], row["accepted"]) == (len(risk), len(passed))
        assert row["hazard"] == pytest.approx(len(passed) / len(risk))
        assert row["survival"] == pytest.approx(survival)
        through = sum(a >= depth for a, _, _ in steps)
        ended = sum(d >= depth and a == depth - 1 for a, d, _ in steps)
        unknown = sum(d >= depth and a == depth - 1 and cut for a, d, cut in steps)
        assert row["hazard_if_rejected"] == pytest.approx(through / (through + ended))
        assert row["hazard_if_cut"] == pytest.approx(through / (through + ended - unknown))
    assert found["depth"].to_list() == [1, 2, 3, 4, 5]


def test_depths_that_were_not_drafted_are_not_rejected(tmp_path: Path) -> None:
    """All drafts are accepted, one or three deep: the hazard is 1 at every depth, not 1/2 beyond the first."""
    found = of(tmp_path, [[[1, 3] * 20 + [0]]], [[[1, 3] * 20 + [3]]])["runs"]
    assert found.filter(by="all")["hazard"].to_list() == [1, 1, 1]
    strata = {value: held["depth"].to_list() for (value,), held in found.filter(by="drafted").group_by("value")}
    assert strata == {"1": [1], "3": [1, 2, 3]}


def text_steps(hazard: float, tokens: int, texts: int, seed: int, *, cut: bool) -> Turns:
    """Texts of `tokens` tokens walked by independent drafts 5 deep; the last step is cut at the end, or runs over."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(texts):
        left, steps = tokens, []
        while left > 0:
            run = int(np.cumprod(draw.random(5) < hazard).sum())
            steps.append(min(run, left - 1) if cut else run)
            left -= run + 1
        found.append([steps])
    return found


@pytest.mark.parametrize(("cut", "exact", "wrong"), [(True, "if_cut", "if_rejected"), (False, "if_rejected", "if_cut")])
def test_the_bounds_are_exact_where_they_say_so(tmp_path: Path, cut: bool, exact: str, wrong: str) -> None:
    found = of(tmp_path, text_steps(0.8, 40, 6000, 0, cut=cut))["runs"].filter(by="all")
    for row in found.iter_rows(named=True):
        error = (row["hazard_p975"] - row["hazard_p025"]) / (2 * norm.ppf(0.975))
        within(row[f"hazard_{exact}"], 0.8, error, largest=0.005)
    row = found.row(0 if cut else 4, named=True)
    error = (row["hazard_p975"] - row["hazard_p025"]) / (2 * norm.ppf(0.975))
    refused(within, row[f"hazard_{wrong}"], 0.8, error, largest=0.005)


def test_intervals_are_of_requests(tmp_path: Path) -> None:
    """All drafts of a request share one fate: the interval is that of 400 requests, not of 8,000 steps."""
    fates = (np.random.default_rng(0).random(400) < 0.6).astype(int)
    row = whole(of(tmp_path, [[[int(fate)] * 20] for fate in fates], 1, cut=False)["runs"])
    share = fates.mean()
    width = row["hazard_p975"] - row["hazard_p025"]
    binomial = 2 * norm.ppf(0.975) * np.sqrt(share * (1 - share) / 400)
    error = binomial * 0.035  # of two quantiles of 1,000 resamples
    within(width, binomial, error, largest=0.01)
    refused(within, width, binomial / np.sqrt(20), error, largest=0.01)
    one = of(tmp_path / "one", [[[1, 0, 1, 1]]], 1)["runs"]
    assert one["hazard_p025"].null_count() == len(one)


def test_weightings_are_those_of_a_loop(tmp_path: Path) -> None:
    accepted, drafted = made_up(1)
    row = whole(of(tmp_path, accepted, drafted)["tokens_per_step"])
    tokens = [sum(a + 1 for turn in request for a in turn) for request in accepted]
    steps = [sum(map(len, request)) for request in accepted]
    each = [t / n for t, n in zip(tokens, steps, strict=True)]
    assert row["tokens_per_step"] == pytest.approx(sum(tokens) / sum(steps))
    assert row["request_weighted"] == pytest.approx(np.mean(each))
    assert row["token_weighted"] == pytest.approx(np.average(each, weights=tokens))
    assert row["request_weighted_trace_se"] == pytest.approx(np.std(each, ddof=1) / np.sqrt(40))
    assert row["request_p95"] == pytest.approx(np.quantile(each, 0.95))
    assert row["turn_p50"] == pytest.approx(np.median([np.mean(turn) + 1 for request in accepted for turn in request]))
    counts = [row[name] for name in ("requests", "turns", "steps", "tokens")]
    assert counts == [40, sum(map(len, accepted)), sum(steps), sum(tokens)]


def test_icc_is_that_of_the_analysis_of_variance(tmp_path: Path) -> None:
    """Balanced: icc = (F - 1) / (F + n - 1), F of scipy; and unbalanced, by its own loop."""
    draw = np.random.default_rng(3)
    turns = [[draw.integers(0, 4 + place % 3, 12).tolist()] for place in range(30)]
    f = f_oneway(*(np.array(of[0]) for of in turns)).statistic
    for unit in ("request", "turn"):
        row = whole(of(tmp_path / unit, turns)["spread"], statistic="icc", unit=unit)
        assert row["estimate"] == pytest.approx((f - 1) / (f + 12 - 1))
    accepted, drafted = made_up(2)
    found = of(tmp_path / "loop", accepted, drafted)["spread"]
    by_request = [np.array([a for turn in request for a in turn]) for request in accepted]
    for unit, groups in (("request", by_request), ("turn", [np.array(t) for request in accepted for t in request])):
        every, k = np.concatenate(groups), len(groups)
        between = sum(len(x) * (x.mean() - every.mean()) ** 2 for x in groups) / (k - 1)
        inside = sum(((x - x.mean()) ** 2).sum() for x in groups) / (len(every) - k)
        size = (len(every) - sum(len(x) ** 2 for x in groups) / len(every)) / (k - 1)
        row = whole(found, statistic="icc", unit=unit)
        assert row["estimate"] == pytest.approx((between - inside) / (between + (size - 1) * inside))
        spread_out = np.var([x.mean() for x in groups], ddof=1) / (every.var() * np.mean([1 / len(x) for x in groups]))
        assert whole(found, statistic="overdispersion", unit=unit)["estimate"] == pytest.approx(spread_out)


def bernoulli(draw: np.random.Generator, shares: np.ndarray, steps: int) -> Turns:
    return [[(draw.random(steps) < share).astype(int).tolist()] for share in shares]


def test_a_known_icc_is_found_and_none_where_there_is_none(tmp_path: Path) -> None:
    """Beta(a, b) shares of one draft: icc = 1 / (a + b + 1)."""
    draw = np.random.default_rng(5)
    row = whole(
        of(tmp_path / "beta", bernoulli(draw, draw.beta(4, 2, 1500), 25), 1)["spread"], statistic="icc", unit="request"
    )
    within(row["estimate"], 1 / 7, row["trace_se"], largest=0.01)
    refused(within, row["estimate"], 0.0, row["trace_se"], largest=0.01)
    found = of(tmp_path / "same", bernoulli(draw, np.full(1500, 0.6), 40), 1)["spread"]
    for statistic, unit, expected, largest in (
        ("icc", "request", 0.0, 0.005),
        ("overdispersion", "request", 1.0, 0.08),
        ("variance_32", "request", 1.0, 0.08),
    ):
        row = whole(found, statistic=statistic, unit=unit)
        within(row["estimate"], expected, row["trace_se"], largest=largest, what=statistic)


def chain(draw: np.random.Generator, steps: int, stay: float) -> list[int]:
    """A two-state chain: its autocorrelation at lag k is (2 stay - 1)^k."""
    flips = draw.random(steps) > stay
    flips[0] = draw.random() < 0.5
    return (np.cumsum(flips) % 2).astype(int).tolist()


def test_autocorrelation_of_a_known_chain_and_of_none(tmp_path: Path) -> None:
    draw = np.random.default_rng(9)
    found = of(tmp_path / "chain", [[chain(draw, 1000, 0.8)] for _ in range(150)], 1)["spread"]
    for lag in (1, 2, 5):
        row = whole(found, statistic="autocorrelation", lag=lag)
        within(row["estimate"], 0.6**lag, row["trace_se"] + 0.004 / 4, largest=0.01, what=f"lag {lag}")
    short = bernoulli(draw, draw.random(4000), 8)
    row = whole(of(tmp_path / "short", short, 1)["spread"], statistic="autocorrelation", lag=1)
    within(row["estimate"], 0.0, row["trace_se"], largest=0.01)
    turns = [np.array(turn[0]) for turn in short]
    naive = [((x[1:] - x.mean()) * (x[:-1] - x.mean())).mean() for x in turns]
    uncorrected = np.mean(naive) / np.mean([x.var() for x in turns])
    refused(within, float(uncorrected), 0.0, row["trace_se"], largest=0.01)


def test_autocorrelation_and_stretches_do_not_cross_turns_and_requests(tmp_path: Path) -> None:
    """Alternating within turns of two steps: at lag 1 within a turn -1 but for the bias, which is taken out."""
    accepted, drafted = made_up(4)
    found = of(tmp_path, accepted, drafted)["spread"]
    turns = [np.array(turn, float) for request in accepted for turn in request]
    variance = sum(((x - x.mean()) ** 2).sum() for x in turns) / sum(len(x) - 1 for x in turns)
    for lag in (1, 5, 20):
        long = [x for x in turns if len(x) > lag]
        pairs = sum(len(x) - lag for x in long)
        products = sum(((x - x.mean())[lag:] * (x - x.mean())[:-lag]).sum() for x in long)
        bias = variance * sum((len(x) - lag) / len(x) for x in long)
        row = whole(found, statistic="autocorrelation", lag=lag)
        assert row["estimate"] == pytest.approx((products + bias) / (pairs * variance))
    assert found.filter(by="all", statistic="autocorrelation", lag=40).is_empty()  # no turn is as long
    requests = [np.array([a for turn in request for a in turn]) for request in accepted]
    sums = [x[at : at + spread.SPAN].sum() + spread.SPAN for x in requests for at in range(len(x) - spread.SPAN + 1)]
    row = whole(found, statistic="variance_32")
    assert row["estimate"] == pytest.approx(np.var(sums) / (spread.SPAN * np.concatenate(requests).var()))


def test_strata_are_described_as_if_alone(tmp_path: Path) -> None:
    accepted, drafted = made_up(6)
    kinds = ["<b>", "math", None, "math"] * 10
    found = of(tmp_path / "all", accepted, drafted, category=kinds, temperature=[0.0, 0.5] * 20)
    chosen = [place for place, kind in enumerate(kinds) if kind == "math"]
    alone = of(tmp_path / "math", [accepted[at] for at in chosen], [drafted[at] for at in chosen])
    for name in ("runs", "spread", "tokens_per_step"):
        held = found[name].filter(by="category", value="math").drop("by", "value")
        assert held.equals(alone[name].filter(by="all").drop("by", "value")), name
    assert found["tokens_per_step"].filter(by="category")["value"].to_list() == ["<b>", "math"]
    assert found["tokens_per_step"].filter(by="temperature")["value"].to_list() == ["0", "0.5"]


def test_shapes_and_unknown_lengths_are_said(tmp_path: Path) -> None:
    log = logged([[[2, 0, 1, 0]], [[1, 1, 0, 0]]], None)
    found = described(stepped(tmp_path / "unknown", log))
    assert found["runs"]["depth"].max() == 2
    assert (
        "8 steps do not tell their drafted length: 2, the most accepted, is assumed."
        in found["notes"]["note"].to_list()
    )
    tree = described(stepped(tmp_path / "tree", log.with_tree([4, 2, 1])))
    assert tree["runs"]["shape"].unique().to_list() == ["tree"]
    assert "trees" in " ".join(tree["notes"]["note"])
    assert dict(tree["about"].iter_rows())["tree"] == "4/2/1"


@pytest.mark.parametrize(
    "turns", [[[[0]]], [[[3, 3, 3]]], [[[0, 0]], [[0, 0]]], [[[5] * 40]] * 3, [[[1]], [[2]], [[0]]]]
)
def test_little_to_describe_is_described(tmp_path: Path, turns: Turns) -> None:
    found = of(tmp_path, turns)
    assert whole(found["tokens_per_step"])["steps"] == sum(len(turn) for request in turns for turn in request)
    assert found["runs"]["hazard"].null_count() == 0
    assert found["spread"]["estimate"].is_finite().all()
