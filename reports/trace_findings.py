"""What a described trace shows: a title and a sentence for each figure. Every number is looked up."""

import polars as pl

from reports.described import Described, Row
from reports.words import listed, percent


def load(trace: Described) -> tuple[str, str]:
    """How unevenly experts are used."""
    mean = trace.mean("load").row(0, named=True)
    layers = trace.layers("load").drop_nulls("hottest")
    few, many = _ends(layers, "effective_experts")
    hot, dead = _ends(layers, "hottest")[1], int(layers["dead"].sum())
    title = f"The load is as concentrated as on {mean['effective_experts']:.1f} of {trace.experts} equal experts"
    said = (
        f"From {few['effective_experts']:.1f} experts in effect (layer {few['layer']}) to"
        f" {many['effective_experts']:.1f} (layer {many['layer']}). The hottest expert of a layer takes"
        f" {mean['hottest']:.2f} times the mean load on average, {hot['hottest']:.2f} times in layer {hot['layer']}."
        f" Gini index {mean['gini']:.2f}, normalised entropy {mean['entropy']:.3f} on average over layers."
    )
    return title, f"{said} {dead:,} experts were never used." if dead else said


def overlap(trace: Described) -> tuple[str, str]:
    """How many experts tokens share."""
    rows = trace.mean("overlap")
    shares = {(row["pair"], row["lag"]): percent(row["overlap"], 1) for row in rows.iter_rows(named=True)}
    lags = [lag for pair, lag in shares if pair == "lag"]
    uniform = shares["uniform", None]
    parts = [f"{_neighbours(lag)} share {shares['lag', lag]} of their experts" for lag in dict.fromkeys(lags[::5])]
    if ("request", None) in shares:
        parts.append(f"two tokens anywhere in a request {shares['request', None]}")
    if ("pooled", None) in shares:
        parts.append(f"any two tokens of the trace {shares['pooled', None]}")
    said = listed(parts or ["there is one token"])
    title = f"{parts[0] if parts else said}; uniform routing: {uniform}"
    return _upper(title), f"{_upper(said)}. Under uniform routing it would be {uniform} everywhere."


def windows(trace: Described) -> tuple[str, str]:
    """How many experts the tokens of a window read."""
    row = trace.mean("windows").filter(pl.col("window") <= 4).row(-1, named=True)
    layers = trace.layers("windows", window=row["window"])
    few, many = (end["distinct"] for end in _ends(layers, "distinct"))
    title = (
        f"{_tokens(row['window'])} in a row: {row['distinct']:.1f} distinct experts a layer,"
        f" not the {row['uniform']:.1f} of uniform routing"
    )
    return title, (
        f"The uniform formula says {row['uniform'] / row['distinct']:.2f} times as many; the measured popularity with"
        f" independent tokens {row['popularity']:.1f}, so the rest is overlap between neighbours. Layers lie between"
        f" {few:.1f} and {many:.1f}. All windows count alike, so long requests count more."
    )


def batches(trace: Described) -> tuple[str, str]:
    """How many experts a batch reads."""
    rows = {(row["batch"], row["window"]): row for row in trace.mean("batches").iter_rows(named=True)}
    batch, window = max(rows, key=lambda place: rows[place]["uniform"] / rows[place]["distinct"])
    row = rows[batch, window]
    title = f"Uniform routing says up to {row['uniform'] / row['distinct']:.2f} × the experts of a verify step"
    said = (
        f"Most at batch {batch} with {_tokens(window)} each: {row['distinct']:.1f} distinct experts, under uniform"
        f" routing {row['uniform']:.1f}."
    )
    if {(1, 4), (4, 1)} <= rows.keys():
        said += (
            f" Four tokens of one request read {rows[1, 4]['distinct']:.1f} experts, one token of four requests"
            f" {rows[4, 1]['distinct']:.1f}: batch and window are not one axis."
        )
    return title, f"{said} All requests count alike."


def ranks(trace: Described) -> tuple[str, str]:
    """How hot the hottest rank is."""
    widest = max(way for way in trace["ranks"]["ranks"] if way <= 8)
    rows = trace["ranks"].filter(pl.col("ranks") == widest)
    end = rows.filter(pl.col("batch").is_null()).row(0, named=True)
    drawn = rows.filter(pl.col("window") == 1).sort("batch")
    title = f"With {widest} ranks the hottest has {end['assignments']:.2f} × the mean load, however large the batch"
    said = (
        f"Experts are dealt to ranks in contiguous runs. However large the batch, popularity keeps the hottest of"
        f" {widest} ranks at {end['assignments']:.2f} times the mean assignments."
    )
    if drawn.height:
        one, many = drawn.row(0, named=True), drawn.row(-1, named=True)
        said += (
            f" With one token per request it is {one['assignments']:.2f} at batch {one['batch']} and"
            f" {many['assignments']:.2f} at batch {many['batch']}; by distinct experts, which set the time where memory"
            f" does, {many['distinct']:.2f}."
        )
    return title, said


def runs(trace: Described) -> tuple[str, str]:
    """How acceptance changes with depth."""
    rows = trace.whole("runs").sort("depth")
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    title = f"{percent(first['hazard'], 1)} of first drafts are accepted"
    if last["depth"] > 1:
        title += f"; {percent(last['survival'], 1)} of steps reach depth {last['depth']}"
    said = listed([f"{row['hazard']:.3f}" for row in rows.iter_rows(named=True)])
    wide = max(row["hazard_if_cut"] - row["hazard_if_rejected"] for row in rows.iter_rows(named=True))
    shape = {"tree": " Drafts were trees, so depths are depths of the tree.", "chain": ""}
    return title, (
        f"Hazard by depth: {said}. Steps that end a turn may have been cut and are left out; counting them one way or"
        f" the other moves a hazard by at most {wide:.4f}."
        f"{shape.get(first['shape'], ' Whether drafts were chains or trees is not known.')}"
    )


def weightings(trace: Described) -> tuple[str, str]:
    """Tokens per step by weighting."""
    row = trace.whole("tokens_per_step").row(0, named=True)
    title = f"{row['tokens_per_step']:.2f} tokens per step; the average request sees {row['request_weighted']:.2f}"
    said = (
        f"{row['tokens']:,} tokens in {row['steps']:,} steps are {row['tokens_per_step']:.2f}; the average over"
        f" requests is {row['request_weighted']:.2f}, the average token's request has {row['token_weighted']:.2f}."
        f" Nine in ten requests lie between {row['request_p05']:.2f} and {row['request_p95']:.2f}."
    )
    kinds = dict(trace.strata("tokens_per_step", "category"))
    if len(kinds) > 1:
        ranked = sorted(kinds, key=lambda name: float(kinds[name]["tokens_per_step"][0]))
        low, high = (f"{kinds[name]['tokens_per_step'][0]:.2f} ({name})" for name in (ranked[0], ranked[-1]))
        said += f" By category, from {low} to {high}."
    return title, said


def memory(trace: Described) -> tuple[str, str]:
    """How unlike requests are, and how far a step tells the next."""
    held = trace.whole("spread")
    near = held.filter(pl.col("statistic") == "autocorrelation").sort("lag")
    found = {(row["statistic"], row["unit"]): row["estimate"] for row in held.iter_rows(named=True)}
    parts = [
        f"{share:.3f} of the variance of tokens per step lies between {unit}s"
        for unit in ("request", "turn")
        if (share := found.get(("icc", unit))) is not None
    ]
    if "overdispersion" in (name for name, _ in found):
        parts.append(
            f"request means vary {found['overdispersion', 'request']:.1f} times as much as independent steps say"
        )
    if "variance_32" in (name for name, _ in found):
        parts.append(f"the tokens of 32 steps in a row {found['variance_32', 'request']:.1f} times")
    said = f"{_upper(listed(parts))}." if parts else ""
    if near.is_empty():
        return f"Requests differ: {parts[0]}" if parts else "Too few steps to tell how requests differ", said
    first, last = near.row(0, named=True), near.row(-1, named=True)
    title = f"Tokens per step of a turn correlate by {_signed(first['estimate'])} from one step to the next"
    return title, f"{last['lag']} steps apart the correlation is {_signed(last['estimate'])}. {said}".strip()


def _ends(rows: pl.DataFrame, column: str) -> tuple[Row, Row]:
    """The rows with the least and the most of a column."""
    ordered = rows.sort(column, maintain_order=True)
    return ordered.row(0, named=True), ordered.row(-1, named=True)


def _neighbours(lag: int) -> str:
    return "neighbouring tokens" if lag == 1 else f"tokens {lag} apart"


def _tokens(count: int) -> str:
    return "one token" if count == 1 else f"{count} tokens"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _signed(value: float) -> str:
    """Two digits, with a true minus and no minus zero."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
