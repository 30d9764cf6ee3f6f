"""The columns of the study stress; the ladder has those of a scenario in front (studies/columns.py)."""

import polars as pl

from studies.sensitivity_columns import Schema

LADDER: Schema = {  # a row per rung x batch x context, those of a scenario in front
    "rung": pl.Int64,
    "assumption": pl.String,  # what is assumed from this rung on
    "family": pl.String,
    "worlds": pl.Int64,
    "best_draft_length": pl.Int64,
    "speedup": pl.Float64,  # promised at this rung of its best length
    "speedup_se": pl.Float64,
    "p_loss": pl.Float64,  # of its best length, at this rung
    "honest_speedup": pl.Float64,  # chosen on one half of the worlds, valued on the other
    "honest_speedup_se": pl.Float64,
    "full_speedup": pl.Float64,  # of this rung's best length under the full model
    "full_speedup_se": pl.Float64,
    "full_p_loss": pl.Float64,
    "regret": pl.Float64,  # share of the full model's rate that this rung's length loses
    "regret_se": pl.Float64,
}

SHARES: Schema = {  # Shapley shares, a row per game x family
    "scenario": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "game": pl.String,  # fixed, best: of log speedup; regret
    "draft_length": pl.Int64,  # fixed: the full model's best above 0
    "family": pl.String,
    "share": pl.Float64,
    "share_se": pl.Float64,
    "none": pl.Float64,  # value of the game with all families as in the post
    "full": pl.Float64,  # with all as in the scenario; the difference is the sum of the shares
}

INTERACTIONS: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "game": pl.String,
    "first": pl.String,
    "second": pl.String,
    "interaction": pl.Float64,
    "interaction_se": pl.Float64,
    "notable": pl.Boolean,  # beyond chance, at 5 % over all pairs
}

NAIVE: Schema = {  # the scenario with one assumption of the post put back
    "scenario": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "assumption": pl.String,
    "worlds": pl.Int64,
    "full_draft_length": pl.Int64,
    "draft_length": pl.Int64,  # the best under the assumption
    "ratio": pl.Float64,  # speedup under the assumption over the full model's, at the full model's best length above 0
    "ratio_low": pl.Float64,  # 95 % of bootstrap over worlds
    "ratio_high": pl.Float64,
    "own_ratio": pl.Float64,  # the speedup it promises of its own best length over that of the full model of its best
    "own_ratio_low": pl.Float64,
    "own_ratio_high": pl.Float64,
    "regret": pl.Float64,
    "regret_se": pl.Float64,
}

FLIPS: Schema = {  # the smallest change of each unknown that turns the answer
    "scenario": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "question": pl.String,  # length: the best length; sign: whether drafting pays
    "unknown": pl.String,
    "unit": pl.String,
    "draft_length": pl.Int64,  # the best as things stand
    "value": pl.Float64,  # as things stand
    "flips_at": pl.Float64,  # null: nowhere in its range
    "deviations": pl.Float64,  # of its prior from the median; null where it has no prior
    "low": pl.Float64,  # its range
    "high": pl.Float64,
    "becomes": pl.Int64,  # the best length beyond
}
