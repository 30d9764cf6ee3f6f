"""The columns of the study sensitivity; `grid` and `best` have those of a scenario in front (studies/columns.py)."""

import polars as pl

Schema = dict[str, type[pl.DataType] | pl.DataType]

GRID: Schema = {  # over the priors
    "draft_length": pl.Int64,
    "draws": pl.Int64,
    "fits": pl.Boolean,
    "extrapolated": pl.Boolean,
    "speedup": pl.Float64,  # geometric mean over the priors
    "speedup_se": pl.Float64,
    "speedup_p05": pl.Float64,
    "speedup_p50": pl.Float64,
    "speedup_p95": pl.Float64,
    "p_loss": pl.Float64,
    "p_best": pl.Float64,
}

BEST: Schema = {
    "best_draft_length": pl.Int64,
    "recommended": pl.Int64,  # the shortest length within 1 % of the best
    "draft_length": pl.Int64,  # whose figures are taken apart: the recommended, or where that is 0 the best above 0
    "speedup": pl.Float64,
    "p_loss": pl.Float64,
    "noise_share": pl.Float64,  # of the variance of one half's log speedup that is inner noise
    "noise_share_se": pl.Float64,
    "evpi_percent": pl.Float64,
    "evpi_percent_se": pl.Float64,
    "evpi_at_most_percent": pl.Float64,
}

UNKNOWNS: Schema = {
    "scenario": pl.String,
    "group": pl.String,  # the unknowns that go together, joined; one of them alone is its own group
    "unknown": pl.String,
    "label": pl.String,
    "p05": pl.Float64,
    "p50": pl.Float64,
    "p95": pl.Float64,
    "unit": pl.String,
}

INDICES: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "figure": pl.String,  # log_speedup, p_loss (both of draft_length), is_best: of the probability that it is the best
    "group": pl.String,
    "first": pl.Float64,  # null where parameters show no variance beyond their error
    "first_se": pl.Float64,
    "total": pl.Float64,
    "total_se": pl.Float64,
    "variance": pl.Float64,
    "variance_se": pl.Float64,
}

SCREENING: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "group": pl.String,
    "strength": pl.Float64,  # mu* of log speedup over the central 90 % of the prior
    "strength_se": pl.Float64,
    "spread": pl.Float64,  # sigma; null for groups of several unknowns
}

TORNADO: Schema = {  # everything else at its median; groups of several along the direction that raises most
    "scenario": pl.String,
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "group": pl.String,
    "speedup_low": pl.Float64,  # unknown at its 5 %
    "speedup_high": pl.Float64,  # at its 95 %
    "speedup_median": pl.Float64,
    "best_low": pl.Int64,  # the best length there
    "best_high": pl.Int64,
}

CONTOURS: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,
    "draft_length": pl.Int64,
    "x": pl.String,  # groups
    "y": pl.String,
    "x_normal": pl.Float64,
    "y_normal": pl.Float64,
    "x_value": pl.Float64,  # in the unknown's unit; null for groups of several
    "y_value": pl.Float64,
    "speedup": pl.Float64,  # of draft_length
    "best_draft_length": pl.Int64,
}

WORTH: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,  # null: mean over the batches, each its own length
    "kind": pl.String,  # everything (EVPI), unknown (EVPPI), measurement (EVSI)
    "what": pl.String,
    "label": pl.String,
    "size": pl.Int64,
    "unit": pl.String,
    "percent": pl.Float64,
    "percent_se": pl.Float64,
}

IMPROVEMENTS: Schema = {
    "scenario": pl.String,
    "batch": pl.Int64,
    "draft_length": pl.Int64,  # the recommended one, not chosen again
    "improvement": pl.String,
    "label": pl.String,
    "percent": pl.Float64,  # of throughput, geometric mean over the priors
    "percent_p05": pl.Float64,
    "percent_p95": pl.Float64,
}

GUTTER: Schema = {
    "scenario": pl.String,
    "assumption": pl.String,
    "batch": pl.Int64,  # null: a gutter anywhere among the batches
    "p_none": pl.Float64,  # no length pays
    "p_gutter": pl.Float64,  # no length pays here, one does at a smaller and at a larger batch
    "p_gutter_se": pl.Float64,
    "drafting_p05": pl.Float64,  # speedup of the best length above 0
    "drafting_p50": pl.Float64,
    "drafting_p95": pl.Float64,
}
