"""The columns of every study's result files."""

import polars as pl

Schema = dict[str, type[pl.DataType] | pl.DataType]

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
    "worlds": pl.Int64,
    "fits": pl.Boolean,
    "extrapolated": pl.Boolean,
    "tokens_per_step": pl.Float64,
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
}

BEST: Schema = SCENARIO | {
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
}

CHANGES: Schema = {
    "scenario": pl.String,
    "context_tokens": pl.Int64,
    "batch_below": pl.Int64,
    "batch_above": pl.Int64,
    "pays_above": pl.Boolean,
}

# Files of each study, by the name of the frame they hold; `results` first, which holds the notes too.
FILES: dict[str, dict[str, Schema]] = {
    "optimal-k": {"results": GRID, "best": BEST, "changes": CHANGES},
}
