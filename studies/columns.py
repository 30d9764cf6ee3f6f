"""The columns of every study's result files."""

import polars as pl

from studies import sensitivity_columns
from studies.sensitivity_columns import Schema

SCENARIO: Schema = {
    "scenario": pl.String,
    "study": pl.String,
    "target": pl.String,
    "hardware": pl.String,
    "devices": pl.Int64,
    "tp": pl.Int64,
    "ep": pl.Int64,
    "drafter": pl.String,
    "prices": pl.String,
    "routing": pl.String,
    "acceptance": pl.String,
    "tail": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
}

GRID: Schema = SCENARIO | {
    "draft_length": pl.Int64,
    "method": pl.String,  # surface, where acceptance does not depend on the place in the text; else walk
    "worlds": pl.Int64,
    "fits": pl.Boolean,
    "extrapolated": pl.Boolean,
    "tokens_per_step": pl.Float64,
    "tokens_per_step_se": pl.Float64,
    "step_seconds": pl.Float64,
    "draft_seconds": pl.Float64,
    "speedup": pl.Float64,
    "speedup_se": pl.Float64,
    "speedup_trace_se": pl.Float64,
    "speedup_p05": pl.Float64,
    "speedup_p50": pl.Float64,
    "speedup_p95": pl.Float64,
    "speedup_batch_p05": pl.Float64,
    "speedup_batch_p95": pl.Float64,
    "p_loss": pl.Float64,
    "p_best": pl.Float64,
    "distinct_experts": pl.Float64,
    "distinct_experts_se": pl.Float64,
    "distinct_experts_uniform": pl.Float64,
    "tokens_per_second_user": pl.Float64,
    "tokens_per_second_device": pl.Float64,
    "throughput": pl.Float64,  # tokens per second with prompts prefilled; null without prompt_tokens
    "throughput_speedup": pl.Float64,
    "seconds_per_token": pl.Float64,
}

BEST: Schema = SCENARIO | {
    "method": pl.String,
    "worlds": pl.Int64,
    "best_draft_length": pl.Int64,
    "recommended": pl.Int64,
    "recommended_speedup": pl.Float64,
    "recommended_speedup_se": pl.Float64,
    "recommended_p_loss": pl.Float64,
    "near_best": pl.List(pl.Int64),
    "speedup": pl.Float64,
    "speedup_se": pl.Float64,
    "speedup_trace_se": pl.Float64,
    "p_best": pl.Float64,
    "p_loss": pl.Float64,
    "drafting_speedup": pl.Float64,
    "split_half_noise": pl.Float64,
    "uniform_iid_draft_length": pl.Int64,
    "regret_uniform_iid": pl.Float64,
    "ideal_draft_length": pl.Int64,
    "ideal_speedup": pl.Float64,
    "regret_ideal": pl.Float64,
}

CHANGES: Schema = {
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "batch_below": pl.Int64,
    "batch_above": pl.Int64,
    "pays_above": pl.Boolean,
}

# economics: everything in closed form, so no worlds and no errors.
ECONOMICS_GRID: Schema = SCENARIO | {
    "draft_length": pl.Int64,
    "fits": pl.Boolean,
    "extrapolated": pl.Boolean,
    "tokens_per_step": pl.Float64,
    "step_seconds": pl.Float64,
    "draft_seconds": pl.Float64,
    "speedup": pl.Float64,
    "distinct_experts": pl.Float64,
    "tokens_per_second_user": pl.Float64,
    "tokens_per_second_device": pl.Float64,
}

ECONOMICS_BEST: Schema = SCENARIO | {
    "best_draft_length": pl.Int64,
    "recommended": pl.Int64,  # the shortest length within 1 % of the best
    "speedup": pl.Float64,
    "drafting_speedup": pl.Float64,  # of the best length above 0
    "ideal_draft_length": pl.Int64,  # what rooflines alone would choose, and
    "ideal_speedup": pl.Float64,  # what they promise of it; null where prices are rooflines
    "regret_ideal": pl.Float64,  # what that length loses
}

MAP: Schema = {  # the best length for every alpha
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "alpha": pl.Float64,  # i.i.d. acceptance
    "batch": pl.Int64,
    "best_draft_length": pl.Int64,  # null where nothing fits
    "speedup": pl.Float64,
}

GUTTERS: Schema = {  # runs of neighbouring batches whose best length is 0, drafting paying on both sides
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "acceptance": pl.String,
    "batch_from": pl.Int64,
    "batch_to": pl.Int64,
    "kind": pl.String,  # gutter: drafting pays below and above; below or above: it pays on one side only; everywhere
}

LEDGER: Schema = {
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "batch": pl.Int64,
    "term": pl.String,  # a term of the step, or `total`
    "ratio": pl.Float64,  # r of the term: 1 compute-bound, 0 memory-bound weights
    "share": pl.Float64,  # of an undrafted step's seconds
    "marginal_cost": pl.Float64,  # ratio x share: its part of the total r
}

INTENSITY: Schema = {
    "scenario": pl.String,
    "tokens": pl.Int64,
    "moe": pl.Float64,  # FLOP/B of the experts of a layer
    "dense": pl.Float64,  # of a dense layer with as many weights
    "ridge": pl.Float64,  # peak of the experts' arithmetic over bandwidth
    "distinct_experts": pl.Float64,
}

ATTENTION: Schema = {
    "scenario": pl.String,
    "layers": pl.Int64,
    "kind": pl.String,
    "part": pl.String,  # core or indexer
    "context_tokens": pl.Int64,
    "queries": pl.Int64,  # T: tokens of the window
    "flops": pl.Float64,
    "bytes": pl.Float64,
    "intensity": pl.Float64,
    "ridge": pl.Float64,
    "compute_bound": pl.Boolean,
}

CLAIMS: Schema = {
    "id": pl.String,
    "section": pl.String,
    "statement": pl.String,
    "quantity": pl.String,  # what was computed
    "value_claimed": pl.Float64,
    "value_computed": pl.Float64,
    "unit": pl.String,
    "predicate": pl.String,  # over value_computed
    "holds": pl.Boolean,
    "reason": pl.String,
}

ABLATION: Schema = {
    "step": pl.Int64,
    "name": pl.String,
    "change": pl.String,
    "context_tokens": pl.Int64,
    "batch": pl.Int64,
    "best_draft_length": pl.Int64,
    "speedup": pl.Float64,
    "speedup_change": pl.Float64,  # against the step before
    "step_seconds": pl.Float64,  # undrafted
    "in_gutter": pl.Boolean,
}

FRONTIER: Schema = SCENARIO | {
    "draft_length": pl.Int64,
    "best_draft_length": pl.Int64,  # of this batch and context
    "tokens_per_step": pl.Float64,
    "step_seconds": pl.Float64,
    "speedup": pl.Float64,
    "memory_bytes": pl.Float64,
    "tokens_per_second_user": pl.Float64,
    "tokens_per_second_device": pl.Float64,
    "dollars_per_million_tokens": pl.Float64,
    "on_frontier": pl.Boolean,  # nothing else is faster for the user and for the device at once
}

OPERATING: Schema = {  # the highest throughput under each objective
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "drafting": pl.Boolean,  # whether lengths above 0 were allowed
    "seconds_per_token": pl.Float64,  # the objective; null: none
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "tokens_per_second_user": pl.Float64,
    "tokens_per_second_device": pl.Float64,
    "dollars_per_million_tokens": pl.Float64,
}

TRADES: Schema = {  # at each batch: draft, or double the batch?
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "batch": pl.Int64,
    "best_draft_length": pl.Int64,
    "drafting_gain": pl.Float64,  # throughput at the best length over that undrafted
    "doubling_gain": pl.Float64,  # throughput of twice the batch over that of this one, both undrafted; null: no memory
    "drafting_user_gain": pl.Float64,  # the same of tokens per second of one user
    "doubling_user_gain": pl.Float64,
}

# validate: predictions beside measurements, a row each.
PREDICTIONS: Schema = {
    "scenario": pl.String,
    "target": pl.String,
    "hardware": pl.String,  # null: not said, integrated out
    "devices": pl.Int64,
    "drafter": pl.String,
    "text": pl.String,
    "batch": pl.Int64,  # concurrency
    "draft_length": pl.Int64,
    "tokens_per_step": pl.Float64,
    "quantity": pl.String,  # step ratio, throughput gain (both against no drafting), seconds per token
    "measured": pl.Float64,
    "predicted": pl.Float64,
    "predicted_p05": pl.Float64,
    "predicted_p95": pl.Float64,
    "error": pl.Float64,  # predicted over measured, less 1
    "covered": pl.Boolean,  # measured inside the 90 % interval
    "discrepancy": pl.Float64,  # of the prices, a row, after Birge
    "roofline": pl.Float64,  # the naive predictors: i.i.d. routing at ideal prices, and "speedup = tokens per step"
    "tokens_only": pl.Float64,
}

SCORES: Schema = {  # by scenario and quantity, at one draft length (null: all of them)
    "scenario": pl.String,
    "quantity": pl.String,
    "draft_length": pl.Int64,
    "rows": pl.Int64,
    "coverage": pl.Float64,
    "median_width": pl.Float64,  # of the 90 % interval, over the prediction
    "median_error": pl.Float64,  # absolute, relative to the measurement
    "roofline_median_error": pl.Float64,
    "tokens_only_median_error": pl.Float64,
    "interval_score": pl.Float64,  # of logs, mean over rows; lower is better
    "roofline_interval_score": pl.Float64,
    "tokens_only_interval_score": pl.Float64,
}

FOLLOWED: Schema = {  # the draft length one would choose, and the throughput lost by it
    "scenario": pl.String,
    "target": pl.String,
    "text": pl.String,
    "batch": pl.Int64,
    "measured_best": pl.Int64,
    "predicted_best": pl.Int64,
    "roofline_best": pl.Int64,
    "tokens_only_best": pl.Int64,
    "rate_lost": pl.Float64,
    "roofline_rate_lost": pl.Float64,
    "tokens_only_rate_lost": pl.Float64,
    "undrafted_rate_lost": pl.Float64,
}

CALIBRATED: Schema = {  # the terms of each engine, of the likeliest hardware where it was not said
    "scenario": pl.String,
    "target": pl.String,
    "text": pl.String,
    "hardware": pl.String,
    "devices": pl.Int64,
    "likelihood": pl.Float64,  # of that hardware among those assumed
    "term": pl.String,
    "prior": pl.Float64,  # medians
    "median": pl.Float64,
    "kept": pl.Float64,  # standard deviation as a share of the prior's
}

# stress: `results` is the ladder, a row per rung x batch x context.
LADDER: Schema = SCENARIO | {
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

# Files of each study, by the name of the frame they hold; `results` first, which holds the notes too.
FILES: dict[str, dict[str, Schema]] = {
    "optimal-k": {"results": GRID, "best": BEST, "changes": CHANGES},
    "economics": {
        "results": ECONOMICS_GRID,
        "best": ECONOMICS_BEST,
        "map": MAP,
        "gutters": GUTTERS,
        "ledger": LEDGER,
        "intensity": INTENSITY,
        "attention": ATTENTION,
        "claims": CLAIMS,
        "ablation": ABLATION,
    },
    "frontier": {"results": FRONTIER, "operating": OPERATING, "trades": TRADES},
    "validate": {"results": PREDICTIONS, "scores": SCORES, "choices": FOLLOWED, "terms": CALIBRATED},
    "stress": {"results": LADDER, "shares": SHARES, "interactions": INTERACTIONS, "naive": NAIVE, "flips": FLIPS},
    "sensitivity": {
        "results": SCENARIO | sensitivity_columns.GRID,
        "best": SCENARIO | sensitivity_columns.BEST,
        "unknowns": sensitivity_columns.UNKNOWNS,
        "indices": sensitivity_columns.INDICES,
        "screening": sensitivity_columns.SCREENING,
        "tornado": sensitivity_columns.TORNADO,
        "contours": sensitivity_columns.CONTOURS,
        "worth": sensitivity_columns.WORTH,
        "improvements": sensitivity_columns.IMPROVEMENTS,
        "gutter": sensitivity_columns.GUTTER,
    },
}
