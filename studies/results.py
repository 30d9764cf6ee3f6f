"""The result files of a study: their columns, and the only reader and writer of them.

A results folder holds `study.toml` (the resolved configuration), `results.parquet`, `best.parquet` and
`changes.parquet` where a best length is asked for, `figures/`, `report.html` and `manifest.json`.
Nothing in them depends on the clock or on the host.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montecarlo.errors import InputError

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


@dataclass(frozen=True)
class Results:
    """What a results folder says: three frames, and what the study noted.

    grid: one row per scenario x batch x context_tokens x draft_length, columns of GRID.
    best: one row per scenario x batch x context_tokens, columns of BEST; empty where nothing fits.
    changes: where, along batch, the best drafting speedup crosses 1, columns of CHANGES.
    notes: assumptions made and things left out, a sentence each, by scenario.
    meta: seed, versions, digest of the trace.
    """

    grid: pl.DataFrame
    best: pl.DataFrame
    changes: pl.DataFrame
    notes: dict[str, list[str]]
    meta: dict[str, Any]


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path beside `path`, then move it into place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write(folder: Path, results: Results) -> list[str]:
    """Write the three Parquet files into `folder` and return their names."""
    metadata = {"draftodds": json.dumps({"meta": results.meta, "notes": results.notes}, sort_keys=True)}
    frames: dict[str, tuple[pl.DataFrame, Schema]] = {
        "results.parquet": (results.grid, GRID),
        "best.parquet": (results.best, BEST),
        "changes.parquet": (results.changes, CHANGES),
    }
    for name, (frame, schema) in frames.items():
        ordered = frame.select([pl.col(column).cast(dtype) for column, dtype in schema.items()])

        def save(path: Path, ordered: pl.DataFrame = ordered) -> None:
            ordered.write_parquet(path, metadata=metadata)

        write_atomically(folder / name, save)
    return list(frames)


def read(folder: Path) -> Results:
    """Read a results folder back; raises InputError where it is not one."""
    schemas = {"results.parquet": GRID, "best.parquet": BEST, "changes.parquet": CHANGES}
    missing = [name for name in schemas if not os.path.isfile(folder / name)]
    if missing:
        raise InputError(f"{folder} is not a results folder ({', '.join(missing)} missing); run a study first")
    frames = []
    try:
        for name, schema in schemas.items():
            frame = pl.read_parquet(folder / name)
            if dict(frame.schema) != dict(pl.Schema(schema)):
                raise ValueError(f"{name} has other columns")
            frames.append(frame)
        noted = json.loads(pl.read_parquet_metadata(folder / "results.parquet")["draftodds"])
        grid, best, changes = frames
        return Results(grid, best, changes, notes=dict(noted["notes"]), meta=dict(noted["meta"]))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds damaged result files ({error}); run the study again with --fresh") from error
