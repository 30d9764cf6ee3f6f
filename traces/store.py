"""The store of traces: opens a trace folder as memory maps and lazy frames, and exports it for SQL.

Its files, columns and types are those of traces/schema.py; traces/writer.py writes them.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from montecarlo.errors import InputError
from traces import schema, tensors
from traces.writer import BLOCK, COUNTS, EXPERTS, FRAMES, INFO, sha256

FLAT: schema.Schema = {
    "request": pl.Int64,
    "position": pl.Int64,
    "phase": pl.Enum(schema.PHASES),
    "layer": pl.Int32,  # its depth in the model, where the source tells; else its place among the MoE layers
    "slot": pl.Int32,
    "expert": pl.Int32,  # null where missing
}


@dataclass(frozen=True)
class Trace:
    """A trace folder. `info` is its trace.json; arrays and frames are read when they are first asked for."""

    folder: Path
    info: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Trace":
        """Open a trace folder; raises InputError where it is none, or of a later version."""
        try:
            info = json.loads((folder / INFO).read_text("utf-8"))
            version = info["version"]
        except FileNotFoundError as error:
            what = "does not exist" if not folder.exists() else f"cannot be read: it has no {INFO}"
            raise InputError(f"trace {folder} {what}; `draftodds trace import` writes trace folders") from error
        except OSError as error:
            raise InputError(f"trace {folder} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"trace {folder} cannot be read: its {INFO} is damaged; import it again") from error
        if version != schema.VERSION:
            raise InputError(f"trace {folder} is of version {version}, this program reads {schema.VERSION}")
        return cls(folder, info)

    def has(self, name: str) -> bool:
        """Whether it holds `experts`, `counts`, or a frame: requests, tokens, steps, curves, means."""
        file = {"experts": EXPERTS, "counts": COUNTS}.get(name, f"{name}.parquet")
        return (self.folder / file).is_file()

    @cached_property
    def experts(self) -> np.memmap:
        """Routed experts [tokens, layers, top_k]; the top value of the type = missing."""
        return tensors.mapped(self.folder / EXPERTS, "experts")

    @cached_property
    def counts(self) -> np.memmap:
        """Popularity [windows, layers, experts] (int64)."""
        return tensors.mapped(self.folder / COUNTS, "counts")

    @cached_property
    def start(self) -> np.ndarray:
        """Request r holds the tokens start[r] .. start[r+1]-1 [requests + 1] (int64)."""
        owner = self.frame("tokens").select("request").collect()["request"].to_numpy()
        requests = int(self.frame("requests").select(pl.len()).collect().item())
        return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=requests))]).astype(np.int64)

    def frame(self, name: str) -> pl.LazyFrame:
        """One of the frames of traces/schema.py; raises InputError where the trace does not hold it."""
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            raise InputError(f"trace {self.folder} holds no {name}")
        try:
            lazy = pl.scan_parquet(path)
            if dict(lazy.collect_schema()) != dict(pl.Schema(FRAMES[name])):
                raise InputError(f"{path} cannot be read: it has other columns; import it again")
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{path} cannot be read: damaged; import it again") from error
        return lazy

    @property
    def digest(self) -> str:
        """SHA-256 of trace.json, which holds that of every other file."""
        return sha256(self.folder / INFO)


def export(folder: Path, path: Path) -> int:
    """Write the routing of a trace as one flat Parquet file, a row per expert (FLAT), and return its rows.

    Block by block, into a temporary file beside `path`; an existing file is refused.
    """
    trace = Trace.open(folder)
    if not trace.has("experts"):
        raise InputError(f"trace {folder} holds no routing by token, so there is nothing to export")
    if os.path.exists(path):
        raise InputError(f"{path} exists and is left as it is; choose another name with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
            written = Path(beside) / path.name
            lazy = register_io_source(lambda *_: _flat(trace), schema=pl.Schema(FLAT), is_pure=True)
            lazy.sink_parquet(written)
            os.replace(written, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return int(trace.experts.size)


def _flat(trace: Trace) -> Iterator[pl.DataFrame]:
    experts, depths = trace.experts, np.asarray(trace.info["layers"], np.int32)
    tokens, layers, top_k = experts.shape
    missing, block = np.iinfo(experts.dtype).max, max(1, BLOCK // (32 * layers * top_k))
    for low in range(0, tokens, block):
        ids = np.asarray(experts[low : low + block], np.int32)
        frame = trace.frame("tokens").slice(low, len(ids)).collect()
        rows = frame.select("request", "position", "phase").select(pl.all().repeat_by(layers * top_k).explode())
        yield rows.with_columns(
            pl.Series("layer", np.tile(np.repeat(depths, top_k), len(ids))),
            pl.Series("slot", np.tile(np.arange(top_k, dtype=np.int32), len(ids) * layers)),
            pl.Series("expert", ids.ravel()).replace(missing, None),
        ).select([pl.col(column).cast(dtype) for column, dtype in FLAT.items()])
