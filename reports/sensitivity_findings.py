"""What the sensitivity of a scenario says, in words. Every number is looked up."""

from dataclasses import dataclass

import polars as pl

from reports.scenario import Row
from reports.share import Share
from reports.words import gain, listed, percent

USUAL = (1, 8, 64)  # batches shown where all cannot be
MATTERS = 0.1  # of the variance
STOP = 0.1  # percent of throughput: more requests that add less are not worth asking for
TURNING = 4  # unknowns that turn a length, told by name
NOTHING = 0.05  # percent of throughput
AS_DRAWN = "as drawn"
BARE = "rooflines, no shared experts"


@dataclass(frozen=True)
class Advice:
    """A measurement, how much of it, and what it is worth in percent of throughput with its error."""

    label: str
    size: str
    percent: float
    error: float


def batches(share: Share) -> list[int]:
    """At most three batches to show: 1, 8 and 64 where they were studied, else the ends and the middle."""
    every = share["best"]["batch"].unique().sort().to_list()
    usual = [batch for batch in USUAL if batch in every]
    if len(every) <= 3:
        return every
    return usual if len(usual) == 3 else [every[0], every[len(every) // 2], every[-1]]


def middle(share: Share) -> int:
    """The one batch shown where only one can be."""
    shown = batches(share)
    return shown[len(shown) // 2]


def label(share: Share, group: str) -> str:
    """A group of unknowns in a few words."""
    labels = share["unknowns"].filter(group=group)["label"].to_list()
    return labels[0] if len(labels) == 1 else f"{labels[0]}, with {len(labels) - 1} terms more"


def ranked(share: Share) -> pl.DataFrame:
    """Groups by their mean total share of the variance of log speedup over the shown batches, largest first."""
    rows = share["indices"].filter(pl.col("figure") == "log_speedup", pl.col("batch").is_in(batches(share)))
    return rows.group_by("group", maintain_order=True).agg(pl.col("total").mean()).sort("total", descending=True)


def overall(share: Share, kind: str) -> list[Row]:
    """What is worth knowing, mean over batches: rows of one kind, most worth first."""
    rows = share["worth"].filter(pl.col("kind") == kind, pl.col("batch").is_null())
    return rows.sort("percent", descending=True).to_dicts()


def everything(share: Share) -> Row:
    """The row of knowing everything."""
    return overall(share, "everything")[0]


def advice(share: Share) -> list[Advice]:
    """Each measurement at the size after which more adds less than .1 % of throughput; most worth first."""
    found = []
    for what in dict.fromkeys(row["what"] for row in overall(share, "measurement")):
        rows = sorted(
            (row for row in overall(share, "measurement") if row["what"] == what), key=lambda row: row["size"]
        )
        most = max(row["percent"] for row in rows)
        row = next(row for row in rows if most - row["percent"] < STOP)
        unit = row["unit"].removesuffix("s") if row["size"] == 1 else row["unit"]
        found.append(Advice(row["label"], f"{row['size']:,} {unit}", row["percent"], row["percent_se"]))
    return sorted(found, key=lambda one: -one.percent)


def verdict(share: Share) -> str:
    """What the answer hangs on, what to measure first and what it is worth, what does not matter."""
    shares = ranked(share).drop_nulls("total").to_dicts()
    if not shares:
        return "nothing that is not known moves the speedup beyond its error."
    heavy = [row for row in shares if row["total"] >= MATTERS] or shares[:1]
    of = [" of its variance", *[""] * len(heavy)]
    hangs = listed([f"{label(share, r['group'])} ({percent(r['total'])}{o})" for r, o in zip(heavy, of, strict=False)])
    every, found = everything(share), advice(share)
    said = f"how much drafting gains hangs on {hangs}."
    worth = f"Knowing everything before the length is set is worth {number(every['percent'])} of throughput"
    if not found or found[0].percent < NOTHING:
        return f"{said} {worth}, and no measurement is worth anything: set the length."
    first = found[0]
    said += f" Measure first: {first.label} ({first.size}), worth {number(first.percent)}"
    if len(found) > 1 and found[1].percent >= NOTHING:
        said += f"; {found[1].label} ({found[1].size}) {number(found[1].percent)}"
    return f"{said}. {worth}. {dull(share)}".rstrip()


def dull(share: Share) -> str:
    """What is not worth knowing: measurements, and how many unknowns."""
    quiet = [one.label for one in advice(share) if one.percent < NOTHING]
    dead = [row for row in overall(share, "unknown") if row["percent"] < NOTHING and row["what"] in _alone(share)]
    named = [f", {row['label']} among them," for row in dead if row["what"] == "overlap"]
    said = [f"not worth it for this: {listed(quiet)}"] if quiet else []
    said += [f"{len(dead)} unknowns{''.join(named)} are worth less than {number(NOTHING, 2)} each"] if dead else []
    whole = "; ".join(said)
    return f"{whole[:1].upper()}{whole[1:]}." if whole else ""


def _alone(share: Share) -> list[str]:
    """Groups of one unknown."""
    return share["unknowns"].filter(pl.col("group") == pl.col("unknown"))["group"].to_list()


def number(value: float, digits: int = 1) -> str:
    """Percent as given, with its sign if negative."""
    return percent(value / 100, digits)


def hangs_title(share: Share) -> str:
    """The finding of the figure of shares."""
    top = ranked(share).drop_nulls("total").head(2)["group"].to_list()
    return f"The speedup hangs on {listed([label(share, group) for group in top])}" if top else "Nothing moves it"


def hangs_sentence(share: Share) -> str:
    """How to read the figure of shares."""
    return (
        "Share of the variance of log speedup that stays while all but this unknown are known (total order). Bars: one "
        "standard error. Shares of interacting unknowns add up to more than 100 %."
    )


def tornado_title(share: Share) -> str:
    """The finding of the tornado."""
    rows = _tornado(share)
    losing = [row for row in rows if min(row["speedup_low"], row["speedup_high"]) < 1]
    who = "No single unknown" if not losing else f"{len(losing)} unknown{'s' if len(losing) > 1 else ''} alone"
    return f"{who} can make drafting lose at batch {middle(share)}"


def tornado_sentence(share: Share) -> str:
    """How to read the tornado."""
    row = _tornado(share)[0]
    return (
        f"Speedup of {row['draft_length']} drafts at batch {middle(share)} with one unknown at its 5 % (circle) and "
        f"95 % (square), all others at their medians, where it is {row['speedup_median']:.2f}×."
    )


def change(share: Share) -> list[str]:
    """By batch: which unknowns turn the best length on their own, between their 5 and 95 %; and which end the gain."""
    said = []
    for batch in batches(share):
        rows = share["tornado"].filter(batch=batch).to_dicts()
        turns = sorted((row for row in rows if row["best_low"] != row["best_high"]), key=_apart, reverse=True)
        named = [
            f"{label(share, row['group'])} ({row['best_low']} at 5 %, {row['best_high']} at 95 %)" for row in turns
        ]
        ends = [label(share, row["group"]) for row in rows if min(row["speedup_low"], row["speedup_high"]) < 1]
        more = [f"{len(named) - TURNING} more"] if len(named) > TURNING else []
        some = f"{listed([*named[:TURNING], *more])} alone turn{'s' if len(named) == 1 else ''} the best length"
        lost = f"at one end of {listed(ends)} drafting loses" if ends else "none alone makes drafting lose"
        said.append(f"Batch {batch:,}: {some if named else 'no unknown alone turns the best length'}; {lost}.")
    return said


def _apart(row: Row) -> int:
    return abs(int(row["best_high"]) - int(row["best_low"]))


def _tornado(share: Share) -> list[Row]:
    return share["tornado"].filter(batch=middle(share)).to_dicts()


def break_even_title(share: Share) -> str:
    """The finding of the contours."""
    rows = share["contours"].filter(batch=middle(share))
    lost = float((rows["speedup"] < 1).mean())  # type: ignore[arg-type]
    return "Drafting pays all over the two that matter most" if lost == 0 else "Where drafting breaks even"


def break_even_sentence(share: Share) -> str:
    """How to read the contours."""
    row = share["contours"].filter(batch=middle(share)).row(0, named=True)
    return (
        f"Speedup of {row['draft_length']} drafts at batch {middle(share)} over the two unknowns that matter most, the "
        "others at their medians; the ground is the best length there. Dotted: the central 90 % of the priors."
    )


def worth_title(share: Share) -> str:
    """The finding of the figure of worths."""
    found = advice(share)
    if not found or found[0].percent < NOTHING:
        return "Nothing is worth measuring"
    return f"Measure first: {found[0].label} ({found[0].size})"


def worth_sentence(share: Share) -> str:
    """How to read the figure of worths."""
    return (
        "Throughput gained by setting the length of every batch after, not before, it is known, mean over the batches "
        "studied. Bars: two standard errors; values below 0 are within them."
    )


def gutter_title(share: Share) -> str:
    """The finding of the figure of gutters."""
    row = _anywhere(share, AS_DRAWN)
    return f"A gutter exists with probability {percent(row['p_gutter'])}"


def gutter_sentence(share: Share) -> str:
    """What becomes of the gutter, and why."""
    row, bare = _anywhere(share, AS_DRAWN), _anywhere(share, BARE)
    said = (
        "A gutter, batches where no length pays between some where one does, exists in "
        f"{percent(row['p_gutter'], 1)} of the draws (± {percent(2 * row['p_gutter_se'], 1)})"
    )
    if bare:
        said += f"; at rooflines with tokens that share no experts, in {percent(bare['p_gutter'])}"
    worst = max(_gutter(share, AS_DRAWN), key=lambda r: float(r["p_none"]))
    most = f"{percent(worst['p_none'], 1)} of the draws, the most of any"
    return f"{said}. No length pays at batch {worst['batch']} in {most}."


def _anywhere(share: Share, assumption: str) -> Row:
    rows = share["gutter"].filter(pl.col("assumption") == assumption, pl.col("batch").is_null()).to_dicts()
    return rows[0] if rows else {}


def _gutter(share: Share, assumption: str) -> list[Row]:
    return share["gutter"].filter(pl.col("assumption") == assumption, pl.col("batch").is_not_null()).to_dicts()


def lengths(share: Share) -> tuple[list[str], list[list[str]]]:
    """Headings and a row of words for each batch: what to set now, and what knowing more could add."""
    headings = ["batch", "set now", "gain", "90 % of draws", "P(loss)", "knowing all"]
    rows = []
    for best in share["best"].sort("batch").iter_rows(named=True):
        at = share["results"].filter(batch=best["batch"], draft_length=best["recommended"]).row(0, named=True)
        spread = f"{gain(at['speedup_p05'])} to {gain(at['speedup_p95'])}" if best["recommended"] else "–"
        loss = percent(at["p_loss"], 1) if best["recommended"] else "–"
        length = f"{best['recommended']}" if best["recommended"] else "none"
        known = number(best["evpi_percent"])
        rows.append([f"{best['batch']:,}", length, gain(at["speedup"]), spread, loss, known])
    return headings, rows


def better(share: Share) -> tuple[list[str], list[list[str]]]:
    """Headings and a row of words for each improvement: percent of throughput at the shown batches."""
    shown = batches(share)
    rows = []
    for (name,), part in share["improvements"].partition_by("label", as_dict=True, maintain_order=True).items():
        cells = [part.filter(batch=batch).row(0, named=True) for batch in shown]
        rows.append([str(name), *(f"{gain(1 + cell['percent'] / 100, 1)}" for cell in cells)])
    return ["", *(f"batch {batch}" for batch in shown)], rows
