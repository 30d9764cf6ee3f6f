"""The columns of a comparison of runs; what is against the baseline is null in the baseline's own rows."""

import polars as pl

from studies.sensitivity_columns import Schema

AGAINST: Schema = {
    "speedup_difference": pl.Float64,  # the run's speedup less the baseline's
    "speedup_difference_se": pl.Float64,  # Monte Carlo; paired over common worlds; null where nothing is drawn
    "speedup_difference_trace_se": pl.Float64,  # between traces resampled by request; null without a trace
    "p_better": pl.Float64,  # share of the common worlds in which the run's speedup is the higher; null without any
    "device_ratio": pl.Float64,  # tokens_per_second_device over the baseline's; null where the study has none
    "device_ratio_se": pl.Float64,
}

COMPARED: Schema = {  # a row per scenario x batch x context x run, at the run's own recommended length
    "scenario": pl.String,  # what the baseline calls it
    "run": pl.String,
    "baseline": pl.Boolean,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "best_draft_length": pl.Int64,
    "recommended": pl.Int64,
    "speedup": pl.Float64,  # at the recommended length, as are all that follow
    "speedup_se": pl.Float64,
    "speedup_p05": pl.Float64,
    "speedup_p95": pl.Float64,
    "p_loss": pl.Float64,
    "tokens_per_second_device": pl.Float64,
    "common_worlds": pl.Int64,  # drawn by both; 0: errors are independent; null: nothing is drawn
    **AGAINST,
    "undrafted_ratio": pl.Float64,  # of tokens per second without drafts, over the baseline's
    "undrafted_ratio_se": pl.Float64,
}

LENGTHS: Schema = {  # a row per scenario x batch x context x draft length x run but the baseline, both at that length
    "scenario": pl.String,
    "run": pl.String,
    "batch": pl.Int64,
    "context_tokens": pl.Int64,
    "draft_length": pl.Int64,
    "speedup": pl.Float64,
    "baseline_speedup": pl.Float64,
    **AGAINST,
}

DIFFERS: Schema = {  # keys of study.toml in which a run is not the baseline
    "scenario": pl.String,  # null: a key of the whole run
    "run": pl.String,
    "key": pl.String,
    "baseline_value": pl.String,
    "value": pl.String,
}

GUTTERS: Schema = {  # economics: runs of batches whose best length is 0, of the scenario's own acceptance
    "scenario": pl.String,
    "run": pl.String,
    "context_tokens": pl.Int64,
    "batch_from": pl.Int64,
    "batch_to": pl.Int64,
    "kind": pl.String,
}

OPERATING: Schema = {  # frontier: the highest throughput under each objective
    "scenario": pl.String,
    "run": pl.String,
    "context_tokens": pl.Int64,
    "drafting": pl.Boolean,
    "seconds_per_token": pl.Float64,
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "tokens_per_second_user": pl.Float64,
    "tokens_per_second_device": pl.Float64,
    "dollars_per_million_tokens": pl.Float64,
}

FILES: dict[str, Schema] = {
    "results": COMPARED,
    "lengths": LENGTHS,
    "differs": DIFFERS,
    "gutters": GUTTERS,
    "operating": OPERATING,
}
