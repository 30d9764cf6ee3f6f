"""What the results of `frontier` show of one scenario: the answer, each figure's title and sentence."""

from dataclasses import dataclass
from itertools import groupby

import polars as pl

from reports.scenario import Row
from reports.share import Share
from reports.words import gain, listed, span

DOUBLING, DRAFTING, CLOSED = "doubling", "drafting", "closed"


@dataclass(frozen=True)
class Point:
    """The highest throughput under an objective, without and with drafting; None where nothing meets it."""

    context: int
    objective: float | None
    plain: Row | None
    drafted: Row | None


def points(share: Share, context: int | None = None) -> list[Point]:
    """The operating points, by context and objective."""
    rows = share["operating"] if context is None else share["operating"].filter(context_tokens=context)
    found = []
    for (at, objective), pair in rows.group_by("context_tokens", "seconds_per_token", maintain_order=True):
        held = {row["drafting"]: row if row["batch"] is not None else None for row in pair.iter_rows(named=True)}
        limit = None if objective is None else float(str(objective))
        found.append(Point(int(str(at)), limit, held.get(False), held.get(True)))
    return found


def verdict(share: Share) -> str:
    """The highest throughput with and without drafting, under the objective too, and which way gains more."""
    if share.priced.is_empty():
        return "nothing fits in memory, at any batch or context studied."
    return " ".join([*(_highest(point) for point in points(share, share.context)), f"{trade(share, share.context)}."])


def _highest(point: Point) -> str:
    """One operating point in words."""
    place = "The highest throughput of the device"
    if point.objective is not None:
        place = f"With at most {milliseconds(point.objective)} per token of a user, it"
    plain, drafted = point.plain, point.drafted
    if drafted is None:
        return f"{place} is not known: no batch is that fast, with or without drafting."
    best = f"{place} is {_reached(drafted)}"
    if plain is None:
        return f"{best}; without drafting no batch is that fast."
    if drafted["draft_length"] == 0:
        return f"{best}, without drafting."
    more = gain(drafted["tokens_per_second_device"] / plain["tokens_per_second_device"])
    return f"{best}, drafting {drafted['draft_length']} ahead ({more}); without drafting {_reached(plain)}."


def _reached(row: Row) -> str:
    money = row["dollars_per_million_tokens"]
    priced = "" if money is None else f", {dollars(money)} per million"
    return (
        f"{row['tokens_per_second_device']:,.0f} tokens/s at batch {row['batch']:,}"
        f" ({row['tokens_per_second_user']:,.0f} per user{priced})"
    )


def milliseconds(seconds: float) -> str:
    """A time per token."""
    return f"{1000 * seconds:,.4g} ms"


def dollars(amount: float) -> str:
    """An amount of money to three digits, cents and below included."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.3g}"


def comparisons(share: Share, context: int) -> list[tuple[int, int, str]]:
    """(first batch, last batch, what gains more) of each run of batches: doubling, drafting or closed.

    Closed: twice the batch does not fit in memory, so only drafting is left.
    """
    rows = share["trades"].filter(context_tokens=context).sort("batch")
    states = [(row["batch"], _state(row)) for row in rows.iter_rows(named=True)]
    runs = [(state, [batch for batch, _ in run]) for state, run in groupby(states, key=lambda pair: pair[1])]
    return [(batches[0], batches[-1], state) for state, batches in runs]


def _state(row: Row) -> str:
    drafting, doubling = row["drafting_gain"], row["doubling_gain"]
    if doubling is None:
        return CLOSED
    return DOUBLING if drafting is None or doubling > drafting else DRAFTING


def trade(share: Share, context: int) -> str:
    """Where doubling the batch gains more throughput than drafting, and the reverse."""
    runs = comparisons(share, context)
    said = {DOUBLING: "Doubling the batch gains more", DRAFTING: "drafting gains more"}
    phrases = []
    for state, words in said.items():
        places = [span(first, last) for first, last, found in runs if found == state]
        if places:
            phrases.append(f"{words} at batch {listed(places)}")
    shut = [first for first, _, found in runs if found == CLOSED]
    if shut:
        phrases.append(f"from batch {shut[0]:,} on twice the batch does not fit in memory, and only drafting is left")
    joined = "; ".join(phrases)
    return f"{joined[:1].upper()}{joined[1:]}"


def along_batch(share: Share) -> list[str]:
    """The comparison at each context."""
    return [f"At {context:,} tokens of context: {_lower(trade(share, context))}." for context in share.contexts]


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"


def frontier_title(share: Share) -> str:
    """What drafting adds to the highest throughput."""
    first = points(share, share.context)[0]
    assert first.drafted is not None  # something fits
    if first.plain is None or first.drafted["draft_length"] == 0:
        return "Drafting adds nothing to the highest throughput"
    ratio = first.drafted["tokens_per_second_device"] / first.plain["tokens_per_second_device"]
    return f"Drafting adds {gain(ratio).removeprefix('+')} to the highest throughput of the device"


def frontier_sentence(share: Share) -> str:
    """How much of the frontier drafts, and what drafting gives at the ends of it."""
    rows = share.here("results").filter("on_frontier").sort("batch")
    first, last = (
        f"{row['tokens_per_second_user']:,.0f} tokens/s per user at batch {row['batch']:,}"
        for row in (rows.row(0, named=True), rows.row(-1, named=True))
    )
    if rows.height == 1:
        return f"The frontier is a single point: {first}."
    drafting = rows.filter(pl.col("draft_length") > 0).height
    return (
        f"Of the {rows.height} points of the frontier, where no other gives a user more without giving the device less,"
        f" {drafting} draft. It runs from {first} down to {last}."
    )


def trade_title(share: Share) -> str:
    """Where doubling beats drafting, and where drafting beats doubling."""
    runs = comparisons(share, share.context)
    doubling, drafting = (
        [span(first, last) for first, last, found in runs if found == state] for state in (DOUBLING, DRAFTING)
    )
    if doubling and drafting:
        return f"Doubling gains more at batch {listed(doubling)}, drafting at {listed(drafting)}"
    if not doubling and not drafting:
        return "Twice the batch does not fit: only drafting is left to gain throughput"
    return f"{'Doubling the batch' if doubling else 'Drafting'} gains more at every batch that can be doubled"


def trade_sentence(share: Share) -> str:
    """The comparison in words, and what doubling does to each user."""
    rows = share["trades"].filter(context_tokens=share.context).drop_nulls("doubling_user_gain")
    said = f"{trade(share, share.context)}."
    if rows.is_empty():
        return said
    low, high = (
        gain(float(str(value))) for value in (rows["doubling_user_gain"].min(), rows["doubling_user_gain"].max())
    )
    slower = low if low == high else f"{low} to {high}"
    return f"{said} Doubling changes the speed of each user by {slower}; drafting gives users what it gives the device."
