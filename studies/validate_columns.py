"""The columns of the study validate."""

import polars as pl

from studies.sensitivity_columns import Schema

PREDICTIONS: Schema = {  # beside measurements, a row each
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
