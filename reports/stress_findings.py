"""What the results of `stress` show: the answer, each figure's title and sentence, what would turn the answer."""

import math
from itertools import groupby, pairwise

import polars as pl

from reports.scenario import Row
from reports.share import Share
from reports.words import gain, listed, percent, span

FAMILIES = {  # as the study names them, in words
    "skew": "routing skew",
    "overlap": "temporal overlap",
    "acceptance": "depth and difficulty of acceptance",
    "requests": "requests that differ in ease",
    "hardware": "what engines achieve and add",
    "tail": "what rejected drafts load",
    "drafter": "the drafter's cost",
}
LEVELS = {
    "overlap": "overlap of routing",
    "difficulty": "movement of difficulty",
    "tail": "change of the rejected tail",
}
NEAREST = 3  # changes told in words, of each batch


def batches(share: Share) -> list[int]:
    """Up to three batches to show: the smallest, the middle, the largest."""
    every = share.here("results")["batch"].unique().sort().to_list()
    return sorted({every[0], every[len(every) // 2], every[-1]})


def rungs(share: Share, batch: int) -> list[Row]:
    """The ladder at one batch, from the post to the full model."""
    return share.here("results").filter(batch=batch).sort("rung").to_dicts()


def ends(share: Share) -> list[tuple[Row, Row]]:
    """(the post's assumptions, the full model) at every batch."""
    every = share.here("results")["batch"].unique().sort().to_list()
    return [(ladder[0], ladder[-1]) for batch in every if (ladder := rungs(share, batch))]


def verdict(share: Share) -> str:
    """What the full model drafts, what the post's assumptions would, and what that loses."""
    both = ends(share)
    worst = max(both, key=lambda pair: float(pair[0]["regret"]))[0]
    said = f"the full model drafts {_lengths([full for _, full in both])}"
    said += f"; the post's assumptions would draft {_lengths([post for post, _ in both])}"
    if worst["regret"] > 2 * worst["regret_se"]:
        said += f" and lose up to {_pm(worst['regret'], worst['regret_se'])} with it (batch {worst['batch']:,})"
    return f"{said}. {promised(share)}"


def promised(share: Share) -> str:
    """The speedup the post's assumptions promise and the full model expects, at the outer batches."""
    both = ends(share)
    parts = [
        f"{gain(post['speedup'])} at batch {post['batch']:,} where {gain(full['speedup'])} is expected"
        for post, full in (both[:1] if len(both) == 1 else (both[0], both[-1]))
    ]
    return f"They promise {listed(parts)}."


def _lengths(rows: list[Row]) -> str:
    parts = []
    for length, group in groupby(rows, key=lambda row: int(row["best_draft_length"])):
        cells = list(group)
        parts.append(f"{length or 'nothing'} at batch {span(cells[0]['batch'], cells[-1]['batch'])}")
    return listed(parts)


def ladder_title(share: Share) -> str:
    """What the post's lengths lose at the shown batches, and what those of the rung before the full model do."""
    ladders = [rungs(share, batch) for batch in batches(share)]
    post, last = (max((ladder[i] for ladder in ladders), key=lambda row: float(row["regret"])) for i in (0, -2))
    if not any(row["regret"] > 2 * row["regret_se"] for row in (post, last)):
        return "Neither the post's lengths nor those one rung short of the full model measurably lose"
    said = [percent(row["regret"]) if row["regret"] > 2 * row["regret_se"] else "nothing" for row in (post, last)]
    return f"The post's lengths lose up to {said[0]}, one rung short of the full model up to {said[1]}"


def ladder_sentence(share: Share) -> str:
    """The rung that changes the best speedup most, at each shown batch."""
    parts = []
    for batch in batches(share):
        steps = rungs(share, batch)
        moves = [(after, after["speedup"] / before["speedup"]) for before, after in pairwise(steps)]
        row, by = max(moves, key=lambda move: abs(math.log(move[1])))
        parts.append(f"at batch {batch:,} {row['assumption']} ({gain(by)})")
    return (
        "Each rung assumes all of those above it. Left: the speedup it promises, with its best length; right: what "
        f"that length loses under the full model. The rung that moves the promise most: {listed(parts)}."
    )


def shares(share: Share, batch: int, game: str) -> list[Row]:
    """The Shapley shares of a game at one batch."""
    return share.here("shares").filter(batch=batch, game=game).to_dicts()


def shares_title(share: Share) -> str:
    """The family with the largest share, at each shown batch."""
    most: dict[str, list[str]] = {}
    for batch in batches(share):
        most.setdefault(_largest(share, batch), []).append(f"{batch:,}")
    said = [f"{FAMILIES[family]} (batch {listed(where)})" for family, where in most.items()]
    return f"Moves the speedup most: {', '.join(said)}"


def _largest(share: Share, batch: int) -> str:
    return str(max(shares(share, batch, "best"), key=lambda row: abs(math.expm1(row["share"])))["family"])


def shares_sentence(share: Share) -> str:
    """What is hardly worth modelling, and the strongest interaction."""
    idle = [
        words
        for family, words in FAMILIES.items()
        if all(
            abs(row["share"]) < 0.01
            for batch in batches(share)
            for row in shares(share, batch, "best")
            if row["family"] == family
        )
    ]
    said = "A share is a family's effect on the best speedup, averaged over every order of switching the seven on."
    said += f" Below 1 % at every batch shown: {listed(idle)}." if idle else ""
    return f"{said} {interaction(share)}".rstrip()


def interaction(share: Share) -> str:
    """The strongest pair of the game of the best speedup."""
    rows = share.here("interactions").filter(pl.col("notable"), game="best")
    if rows.is_empty():
        return ""
    row = rows.sort(pl.col("interaction").abs(), descending=True, maintain_order=True).row(0, named=True)
    first, second = FAMILIES[row["first"]], FAMILIES[row["second"]]
    how = "more" if row["interaction"] > 0 else "less"
    return (
        f"The strongest interaction: together {first} and {second} leave a speedup "
        f"{percent(abs(math.expm1(row['interaction'])))} {how} than the two alone would (batch {row['batch']:,})."
    )


def naive(share: Share) -> list[list[str]]:
    """A row per batch and assumption: best length, ratios of speedup with intervals, regret."""
    return [
        [
            f"{row['batch']:,}",
            row["assumption"].replace("iid", "i.i.d."),
            f"{row['draft_length']} ({row['full_draft_length']})",
            f"{gain(row['ratio'], 1)} ({gain(row['ratio_low'], 1)} to {gain(row['ratio_high'], 1)})",
            f"{gain(row['own_ratio'], 1)} ({gain(row['own_ratio_low'], 1)} to {gain(row['own_ratio_high'], 1)})",
            _pm(row["regret"], row["regret_se"]),
        ]
        for row in share.here("naive").sort("batch", maintain_order=True).iter_rows(named=True)
    ]


def _pm(value: float, error: float) -> str:
    return f"{percent(value, 1)} ± {percent(2 * error, 1)}"


def largest_error(share: Share) -> str:
    """What is in each ±, and what in none."""
    rows = share.here("results")
    typical, most = (percent(float(figure), 1) for figure in _relative(rows))
    regret = percent(2 * float(str(rows["regret_se"].max())), 1)
    return (
        f"Monte Carlo: two standard errors of a rung's speedup are {typical} of it (typically; {most} at most), of a "
        f"regret {regret} at most; they hold the draws of traffic and of the engine's terms. No trace is resampled. "
        "Larger than both is what a family is replaced by: the levels of the rungs are assumptions themselves."
    )


def _relative(rows: pl.DataFrame) -> tuple[float, float]:
    held = (2 * rows["full_speedup_se"] / rows["full_speedup"]).drop_nulls()
    return float(str(held.median() or 0.0)), float(str(held.max() or 0.0))


def flips(share: Share) -> dict[int, list[str]]:
    """By batch: the smallest changes that turn the best length, and the sign; and what turns neither."""
    found = {}
    for (batch,), rows in share.here("flips").group_by("batch", maintain_order=True):
        said = []
        length = int(rows["draft_length"][0])
        top = rungs(share, int(str(batch)))[-1]["best_draft_length"]
        if length != top:
            said.append(f"With every unknown at its median the best length is {length}; over the worlds it is {top}.")
        for question in ("length", "sign"):
            turned = rows.filter(pl.col("flips_at").is_not_null(), question=question).to_dicts()
            said += [_flip(row) for row in sorted(turned, key=_distance)[:NEAREST]]
            if not turned:
                what = "another length best" if question == "length" else "the sign of drafting change"
                said.append(f"No value of any one unknown in its range makes {what}.")
        never = rows.group_by("unknown", maintain_order=True).agg(pl.col("flips_at").is_null().all())
        names = never.filter("flips_at")["unknown"].to_list()
        if names and len(names) < never.height:
            said.append(f"No value in its range turns either: {listed(names)}.")
        found[int(str(batch))] = said
    return found


def _distance(row: Row) -> float:
    """How far a change is: in standard deviations, else in shares of the range."""
    if row["deviations"] is not None:
        return abs(float(row["deviations"]))
    return 4 * abs(row["flips_at"] - row["value"]) / (row["high"] - row["low"])


def _flip(row: Row) -> str:
    """One change in plain words."""
    name, now, then = row["unknown"], row["value"], row["flips_at"]
    if name == "acceptance":
        change = (
            f"the first draft would have to be accepted {percent(then, 1)} of the time instead of {percent(now, 1)}"
        )
    elif name == "drafter":
        change = f"the drafter would have to cost {then:.3g} times as much"
    elif name in LEVELS:
        change = f"the {LEVELS[name]} would have to be {percent(then)} of what is assumed"
    else:
        sd = f"{row['deviations']:+.1f}".replace("-", "\N{MINUS SIGN}")
        change = (
            f"{name} would have to be {quantity(then, row['unit'])} instead of {quantity(now, row['unit'])} ({sd} sd)"
        )
    if row["question"] == "length":
        return f"For {row['becomes']} to beat {row['draft_length']}, {change}."
    return f"For drafting to {'pay' if row['becomes'] else 'stop paying'}, {change}."


def quantity(value: float, unit: str) -> str:
    """A term with its unit."""
    if unit != "s":
        return f"{value:.2g}"
    return f"{1e3 * value:.3g} ms" if value >= 0.9995e-3 else f"{1e6 * value:.3g} µs"
