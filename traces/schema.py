"""What a trace is on disk: the names, columns and types of its files. Written and read by traces/store.py only.

    trace.json           what was read: format, files and their SHA-256, model, experts, top_k, layers, notes
    experts.safetensors  routed experts by token: `experts` [tokens, layers, top_k], uint8 where experts <= 255, else
                         uint16; the dtype's top value = missing. Layers are MoE layers only, in order of depth
    requests.parquet     one row per request: what its source calls it, and what is known about it
    tokens.parquet       one row per token of experts.safetensors, in the same order; a request's tokens are neighbours
    steps.parquet        one row per verify step whose accepted drafts were counted
    curves.parquet       acceptance known by depth only: counts or shares over many steps
    means.parquet        acceptance known on average only
    counts.safetensors   routing known by frequency only: `counts` [windows, layers, experts] int64

A trace holds any of these: routing (experts + tokens), acceptance (steps, curves or means), popularity (counts).
`request` numbers the rows of requests.parquet from 0.
"""

import polars as pl

Schema = dict[str, type[pl.DataType] | pl.DataType]

VERSION = 1
PHASES = ("prompt", "decode", "verify")  # verify: a drafted token, accepted or not, as the engine saw it

REQUESTS: Schema = {
    "request": pl.Int64,
    "id": pl.String,  # the source's own name of it, escaped before it reaches a page
    "category": pl.String,  # null where unknown, as all below
    "temperature": pl.Float64,
    "prompt_tokens": pl.Int64,
}

TOKENS: Schema = {
    "request": pl.Int64,
    "position": pl.Int64,  # in the request's sequence, prompt included where its length is known; rises by 1, but
    # every verify step begins at its own first position again
    "phase": pl.Enum(PHASES),  # null where the source does not tell
    "captured": pl.Boolean,  # false: some expert of the token is missing
}

STEPS: Schema = {
    "request": pl.Int64,
    "turn": pl.Int64,
    "step": pl.Int64,  # from 0 in each turn
    "drafted": pl.Int64,  # how deep the drafts went (a tree: its depth); null where the source does not say
    "accepted": pl.Int64,  # accepted drafts, the bonus or correction not counted
    "cut": pl.Boolean,  # the last step of a text: it may have been cut at the text's end, so accepted is a lower bound
    "batch": pl.Int64,  # sequences decoded together
    "seconds": pl.Float64,  # of the step
}

CURVES: Schema = {
    "group": pl.String,  # file, category, mode: whatever the source tells apart
    "request": pl.Int64,  # where the counts are of one request; null where they pool several, as in MEANS
    "category": pl.String,
    "temperature": pl.Float64,
    "draft_length": pl.Int64,
    "depth": pl.Int64,  # from 1
    "steps": pl.Int64,  # steps over which survival is a share; null where only the share is known
    "accepted": pl.Int64,  # of them, those that accepted at least `depth` drafts; null where only the share is known
    "survival": pl.Float64,  # P(run >= depth): "per-position acceptance rate" of engines
}

MEANS: Schema = {
    "group": pl.String,
    "request": pl.Int64,
    "category": pl.String,
    "temperature": pl.Float64,
    "draft_length": pl.Int64,
    "steps": pl.Int64,
    "drafted": pl.Int64,
    "accepted": pl.Int64,
    "tokens_per_step": pl.Float64,  # bonus included
}
