"""What the results of `economics` show of one scenario: the answer, each figure's title and sentence."""

from itertools import groupby

import numpy as np
import polars as pl

from reports.share import Share
from reports.words import gain, listed, span

LEDGER_CONTEXT = 16_845  # the default of the post's ledger
TERMS = {
    "lm_head": "LM head",
    "dense": "dense FFN",
    "drafting": "drafter",
    "fixed": "fixed time",
}  # others are words already


def runs(share: Share, context: int) -> list[tuple[int, int, bool]]:
    """(first batch, last batch, whether drafting pays) of each run of neighbouring batches that fit."""
    rows = share["best"].filter(context_tokens=context).sort("batch")
    pairs = zip(rows["batch"].to_list(), (rows["drafting_speedup"].fill_null(0.0) > 1).to_list(), strict=True)
    found = [(pays, [batch for batch, _ in group]) for pays, group in groupby(pairs, key=lambda pair: pair[1])]
    return [(batches[0], batches[-1], pays) for pays, batches in found]


def course(share: Share, context: int) -> str:
    """Where drafting pays along batch, and where it does not; a stretch that it pays on both sides of is a gutter."""
    along = runs(share, context)
    pays = [span(first, last) for first, last, paid in along if paid]
    none = [
        f"{span(first, last)}{' (the gutter)' if 0 < place < len(along) - 1 else ''}"
        for place, (first, last, paid) in enumerate(along)
        if not paid
    ]
    if not none or not pays:
        said = "drafting pays" if pays else "no drafting pays"
        return f"{said} at {_whole(along, 'every' if pays else 'any')}{_closed(share, context)}"
    return f"drafting pays at batch {listed(pays)}; no drafting pays at batch {listed(none)}"


def _whole(along: list[tuple[int, int, bool]], which: str) -> str:
    first, last = along[0][0], along[-1][1]
    return f"batch {first:,}" if first == last else f"{which} batch from {span(first, last)}"


def _closed(share: Share, context: int) -> str:
    """A reminder that larger batches were left out where they were, for want of memory."""
    shut = share["results"].filter(pl.col("context_tokens") == context, pl.col("speedup").is_null())
    open_ = share["best"].filter(context_tokens=context)["batch"]
    left = sorted(set(shut["batch"]) - set(open_))
    if not left:
        return ""
    return (
        f" ({left[0]:,} and more do not fit in memory)"
        if len(left) > 1
        else f" (batch {left[0]:,} does not fit in memory)"
    )


def verdict(share: Share) -> str:
    """Where drafting pays at the scenario's own acceptance, and where it pays most."""
    if share.priced.is_empty():
        return "nothing fits in memory, at any batch or context studied."
    rows = share.here("best")
    if rows["drafting_speedup"].null_count() == rows.height:
        return "no draft length above 0 was studied, so whether drafting pays is not known."
    top = peak(share)
    most = "It pays most" if top["drafting_speedup"] > 1 else "It comes closest"
    digits = 0 if abs(top["drafting_speedup"] - 1) >= 0.01 else 1
    return (
        f"with {share.acceptance}, {course(share, share.context)}. {most} at batch {top['batch']:,}:"
        f" {gain(top['drafting_speedup'], digits)}, {top['draft_length']} ahead."
    )


def peak(share: Share) -> dict[str, float]:
    """Batch, length and speedup of the drafting that gains most at the shown context."""
    drafted = share.here("results").filter(pl.col("draft_length") > 0, pl.col("speedup").is_not_null())
    row = drafted.sort("speedup", descending=True, maintain_order=True).row(0, named=True)
    return {name: row[name] for name in ("batch", "draft_length")} | {"drafting_speedup": row["speedup"]}


def along_batch(share: Share) -> list[str]:
    """Where drafting pays at each context; contexts alike share a sentence."""
    contexts: dict[str, list[str]] = {}
    for context in share.contexts:
        contexts.setdefault(course(share, context), []).append(f"{context:,}")
    return [f"At {listed(same)} tokens of context {said}." for said, same in contexts.items()]


def crossing(share: Share, column: str) -> float | None:
    """Tokens at which an intensity reaches the ridge, between those computed linearly; None where it does not."""
    rows = share["intensity"]
    tokens, values = rows["tokens"].to_numpy(), rows[column].to_numpy()
    ridge = float(rows["ridge"][0])
    at = int(np.argmax(values >= ridge))
    if values[at] < ridge:
        return None
    if at == 0:
        return float(tokens[0])
    return float(np.interp(ridge, values[at - 1 : at + 1], tokens[at - 1 : at + 1]))


def knee(share: Share) -> float:
    """E/k: tokens that would read every expert if none met."""
    distinct = share["intensity"]["distinct_experts"]
    return round(float(str(distinct.max()))) / float(distinct[0])


def intensity_title(share: Share) -> str:
    """Where each crosses the ridge."""
    moe, dense = crossing(share, "moe"), crossing(share, "dense")
    sparse = "The experts never reach the ridge" if moe is None else f"The experts reach the ridge at {moe:,.0f} tokens"
    solid = "dense weights do not either" if dense is None else f"the same weights, dense, at {dense:,.0f}"
    return f"{sparse}; {solid}"


def intensity_sentence(share: Share) -> str:
    """The knee, and the slopes before and after it."""
    rows = share["intensity"]
    last, ridge = int(rows["tokens"][-1]), float(rows["ridge"][0])
    near = rows.filter(pl.col("tokens") <= knee(share)).row(-1, named=True)
    said = (
        f"Up to the knee (E/k, {knee(share):.1f} tokens) more tokens read more experts: {near['tokens']} tokens do only"
        f" {near['moe'] / rows['moe'][0]:.1f} times the FLOP per byte of one, where a dense layer does"
        f" {near['dense'] / rows['dense'][0]:.0f} times. Past it the experts' line rises in proportion."
    )
    if crossing(share, "moe") is None:
        return f"{said} Up to {last:,} tokens they stay below the ridge of {ridge:,.5g} FLOP per byte."
    return f"{said} Right of the crossing, past the ridge of {ridge:,.5g} FLOP per byte, they are compute-bound."


def ledger_context(share: Share) -> int:
    """The context of the ledger: the post's if it is there, else the one shown."""
    contexts = share["ledger"]["context_tokens"]
    return LEDGER_CONTEXT if LEDGER_CONTEXT in contexts else share.context


def ledger_rows(share: Share) -> pl.DataFrame:
    """The ledger at its context, by batch."""
    return share["ledger"].filter(context_tokens=ledger_context(share)).sort("batch")


def ledger_title(share: Share) -> str:
    """Where a draft is cheapest, and where it costs more than one."""
    total = _rounded_total(share)
    low = total.sort("marginal_cost", maintain_order=True).row(0, named=True)
    if total["marginal_cost"].n_unique() == 1:
        one = f"batch {low['batch']:,}" if total.height == 1 else "every batch"
        return f"A draft costs {low['marginal_cost']:.2f} of a plain token at {one}"
    more = total.filter(pl.col("marginal_cost") > 1)["batch"].to_list()
    title = f"A draft is cheapest at batch {low['batch']:,}: {low['marginal_cost']:.2f} of a plain token"
    return f"{title}; costlier than one from batch {more[0]:,}" if more else title


def ledger_sentence(share: Share) -> str:
    """The term that weighs most at the smallest batch, where a draft costs most, and at the largest."""
    rows, total = ledger_rows(share), _rounded_total(share)
    costliest = total.sort("marginal_cost", descending=True, maintain_order=True)["batch"][0]
    phrases = []
    for batch in dict.fromkeys([total["batch"][0], costliest, total["batch"][-1]]):
        parts = rows.filter(pl.col("batch") == batch, pl.col("term") != "total")
        first = parts.sort("marginal_cost", descending=True, maintain_order=True).row(0, named=True)
        whole = total.filter(batch=batch)["marginal_cost"].item()
        phrases.append(f"{whole:.2f} at batch {batch:,} ({term(first['term'])} {first['marginal_cost']:.2f})")
    return (
        "The cost of one more token of the window, in plain tokens of the same batch, at"
        f" {ledger_context(share):,} tokens of context: {listed(phrases)}; in brackets the term that weighs most."
    )


def _rounded_total(share: Share) -> pl.DataFrame:
    """The sum r by batch, to the digits that are printed: what differs by less is alike."""
    return ledger_rows(share).filter(term="total").with_columns(pl.col("marginal_cost").round(2))


def term(name: str) -> str:
    """What the field calls a term of the step."""
    return TERMS.get(name, name)


def map_title(share: Share) -> str:
    """The gutters of the scenario's own acceptance."""
    along = runs(share, share.context)
    gutters = [span(first, last) for first, last, paid in along[1:-1] if not paid]
    if gutters:
        return f"The gutter: no drafting pays at batch {listed(gutters)}"
    none = [span(first, last) for first, last, paid in along if not paid]
    if not none:
        return f"No gutter: drafting pays at {_whole(along, 'every')}"
    if len(none) == len(along):
        return f"No drafting pays at {_whole(along, 'any')}"
    return f"No gutter: no drafting pays at batch {listed(none)}, some at the others"


def map_sentence(share: Share) -> str:
    """From which alpha on there is no gutter, and from which drafting pays at every batch."""
    rows = share.here("gutters").filter(pl.col("acceptance").str.starts_with("alpha "))
    alphas = rows.with_columns(alpha=pl.col("acceptance").str.strip_prefix("alpha ").cast(pl.Float64, strict=False))
    every = share.here("map")["alpha"].unique().sort().to_list()
    free = _first_above(every, alphas.filter(kind="gutter")["alpha"])
    pays = _first_above(every, alphas["alpha"])
    phrases = [f"{free} there is no gutter"] if free and free != pays else []
    if pays:
        phrases.append(f"{pays} drafting pays at every batch that fits")
    said = listed(phrases) if phrases else f"up to alpha {every[-1]:.2f} some batches lose by drafting"
    return (
        f"At {share.context:,} tokens of context, {said}. Every alpha of the map is i.i.d.; the strip and the line"
        f" below it are the scenario's own {share.acceptance}."
    )


def _first_above(every: list[float], lost: pl.Series) -> str:
    """From which alpha on nothing is lost, in words; empty if from none."""
    if lost.is_empty():
        return "at any alpha"
    left = [alpha for alpha in every if alpha > float(str(lost.max()))]
    return f"from alpha {left[0]:.2f} on" if left else ""
