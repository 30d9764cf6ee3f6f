"""The columns of every study's result files."""

import polars as pl

from studies import compare_columns, sensitivity_columns, stress_columns, validate_columns
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
    "compare": compare_columns.FILES,
    "validate": {
        "results": validate_columns.PREDICTIONS,
        "scores": validate_columns.SCORES,
        "choices": validate_columns.FOLLOWED,
        "terms": validate_columns.CALIBRATED,
    },
    "stress": {
        "results": SCENARIO | stress_columns.LADDER,
        "shares": stress_columns.SHARES,
        "interactions": stress_columns.INTERACTIONS,
        "naive": stress_columns.NAIVE,
        "flips": stress_columns.FLIPS,
    },
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
