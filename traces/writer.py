"""Writes a trace folder: streams requests in, and leaves either a whole trace or nothing.

Rows go as uint16 into one raw file beside the folder's future place. When the last has come, what the trace shows of
itself (traces/tally.py) says which layers and slots to keep, and one pass, block by block, writes them.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl

from montecarlo.errors import InputError
from traces import schema, tensors
from traces.request import MISSING, UNKNOWN, Counts, Reading, Request
from traces.tally import Repairs, Tally

BLOCK = 1 << 25  # bytes of rows handled at once
INFO, EXPERTS, COUNTS = "trace.json", "experts.safetensors", "counts.safetensors"
FRAMES = {
    "requests": schema.REQUESTS,
    "tokens": schema.TOKENS,
    "steps": schema.STEPS,
    "curves": schema.CURVES,
    "means": schema.MEANS,
}
PHASE = dict(enumerate(schema.PHASES))


class Writer:
    """`with Writer(out, reading) as trace: trace.add(request) ... trace.seal(info)`; without `seal` nothing is left."""

    def __init__(self, out: Path, reading: Reading) -> None:
        self.out, self.reading = out, reading
        self.tally: Tally | None = None
        self.requests: list[Request] = []  # without their ids
        self.lengths: list[int] = []

    def __enter__(self) -> "Writer":
        try:
            taken = os.path.lexists(self.out) and not (self.out.is_dir() and not any(self.out.iterdir()))
            if not taken:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self.folder = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", dir=self.out.parent))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write {self.out}: {getattr(error, 'strerror', None) or error}") from error
        if taken:
            raise InputError(f"{self.out} exists and is left as it is; choose another name with --out")
        self.raw = (self.folder / "raw").open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.raw.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"cannot write {self.out}: {error.strerror or error}") from error

    @property
    def tokens(self) -> int:
        """Tokens added so far."""
        return self.tally.tokens if self.tally else 0

    def add(self, request: Request) -> None:
        """Add the tokens of one request; what is wrong with them goes to the faults of the reading."""
        ids, faults = request.ids, self.reading.faults
        if not len(ids):
            self.reading.note("Requests without any token are left out.")
            return
        if ids.ndim != 3 or ids.dtype.kind not in "iu" or min(ids.shape) < 1:
            faults.add("requests whose experts are not integers [tokens, layers, top_k]", request.place)
            return
        if self.tally is None:
            self.tally = Tally(*ids.shape[1:])
        expected = self.tally.first.shape
        if ids.shape[1:] != expected:
            said = f"{request.place}: {ids.shape[1]} x {ids.shape[2]}"
            faults.add(f"requests of other layers x top_k than the first's {expected[0]} x {expected[1]}", said)
            return
        block = max(1, BLOCK // (8 * int(np.prod(expected))))
        for low in range(0, len(ids), block):
            part = np.asarray(ids[low : low + block])
            if part.min() < -1 or part.max() >= MISSING:
                token = low + int(np.argmax(((part < -1) | (part >= MISSING)).any(axis=(1, 2))))
                faults.add("requests with expert ids outside 0..65,534", f"{request.place}, token {token}")
                return
            rows = np.where(part < 0, MISSING, part).astype(np.uint16)
            self.tally.add(rows, self.reading.shape.experts, request.place, low)
            rows.tofile(self.raw)
        self.lengths.append(len(ids))
        self.requests.append(_without_ids(request))

    def frame(self, name: str, frame: pl.DataFrame) -> None:
        """Write one of FRAMES, its columns cast to the schema."""
        ordered = frame.select([pl.col(column).cast(dtype) for column, dtype in FRAMES[name].items()])
        ordered.write_parquet(self.folder / f"{name}.parquet")

    def counts(self, counts: Counts) -> dict[str, Any]:
        """Write popularity, without the layers that never count; what trace.json says of it."""
        kept = np.flatnonzero(counts.counts.any(axis=(0, 2)))
        depths = counts.layers or list(range(counts.counts.shape[1]))
        if len(kept) < len(depths):
            left = ", ".join(str(depths[i]) for i in np.setdiff1d(np.arange(len(depths)), kept))
            self.reading.note(f"Layers without any count are left out: {left}.")
        held = np.ascontiguousarray(counts.counts[:, kept], np.int64)
        with (self.folder / COUNTS).open("wb") as file:
            tensors.begin(file, "counts", held.dtype, held.shape, {"format": "draftodds"})
            held.tofile(file)
        return {
            "windows": len(held),
            "experts": held.shape[2],
            "experts_known": True,
            "top_k": counts.top_k or None,
            "layers": [depths[i] for i in kept],
        }

    def experts(self, who: str) -> dict[str, Any]:
        """Write the rows that were added; what trace.json says of them.

        Raises InputError, beginning with `who`, with all faults of the reading and of the rows.
        """
        assert self.tally is not None
        self.raw.flush()
        repairs = self.tally.repairs(self.reading)
        self.reading.faults.refuse(who)
        missing = self._rows(repairs)
        if missing:
            self.reading.note(f"{missing:,} tokens lack experts that were not captured; they are kept as missing.")
        columns = ("id", "category", "temperature", "prompt_tokens")
        held = {name: [getattr(request, name) for request in self.requests] for name in columns}
        frame = pl.DataFrame(held, {name: schema.REQUESTS[name] for name in columns}).with_row_index("request")
        self.frame("requests", frame)
        depths = self.reading.layers or list(range(len(self.tally.rows)))
        return {
            "tokens": self.tally.tokens,
            "tokens_missing": missing,
            "requests": len(self.requests),
            "experts": repairs.experts,
            "experts_known": repairs.known,
            "top_k": repairs.top_k,
            "layers": [depths[i] for i in repairs.layers],
        }

    def _rows(self, repairs: Repairs) -> int:
        """Write experts.safetensors and tokens.parquet; the number of tokens that lack experts."""
        assert self.tally is not None
        shape = (self.tally.tokens, len(repairs.layers), repairs.top_k)
        raw = np.memmap(self.folder / "raw", np.uint16, "r", shape=(shape[0], *self.tally.first.shape))
        top = np.iinfo(repairs.dtype).max
        starts = np.cumsum([0, *self.lengths])
        missing, block = 0, max(1, BLOCK // (2 * int(np.prod(raw.shape[1:]))))
        parts: list[Path] = []
        with (self.folder / EXPERTS).open("wb") as file:
            tensors.begin(file, "experts", repairs.dtype, shape, {"format": "draftodds", "missing": str(top)})
            for low in range(0, len(raw), block):
                ids = repairs.apply(raw[low : low + block])
                captured = (ids != MISSING).all(axis=(1, 2))
                missing += int((~captured).sum())
                np.minimum(ids, top).astype(repairs.dtype).tofile(file)
                parts.append(self.folder / f"tokens-{len(parts):06}.parquet")
                self._tokens(starts, low, captured).write_parquet(parts[-1])
        pl.scan_parquet(parts).sink_parquet(self.folder / "tokens.parquet")
        for part in parts:
            part.unlink()
        return missing

    def _tokens(self, starts: np.ndarray, low: int, captured: np.ndarray) -> pl.DataFrame:
        """Rows low .. low + len(captured) - 1 of tokens.parquet."""
        high = low + len(captured)
        first, last = np.searchsorted(starts, [low, high - 1], side="right") - 1
        ends = np.clip(starts[first : last + 2], low, high)
        position, phase = [], []
        for number, (begin, end) in zip(range(first, last + 1), pairwise(ends), strict=True):
            request, within = self.requests[number], slice(begin - starts[number], end - starts[number])
            at = request.position
            position.append(at[within] if isinstance(at, np.ndarray) else at + np.arange(within.start, within.stop))
            phase.append(request.phase[within])
        codes = pl.Series(np.concatenate(phase).astype(np.int64))
        return pl.DataFrame(
            {
                "request": np.repeat(np.arange(first, last + 1), np.diff(ends)),
                "position": np.concatenate(position).astype(np.int64),
                "phase": codes.replace_strict({UNKNOWN: None, **PHASE}, return_dtype=pl.String),
                "captured": captured,
            }
        ).select([pl.col(column).cast(dtype) for column, dtype in schema.TOKENS.items()])

    def seal(self, info: dict[str, Any]) -> dict[str, Any]:
        """Write trace.json with the digests of all files, move the folder into its place, and return trace.json."""
        self.raw.close()
        (self.folder / "raw").unlink()
        written = {path.name: sha256(path) for path in sorted(self.folder.iterdir())}
        whole = {"version": schema.VERSION, **info, "notes": self.reading.notes, "written": written}
        (self.folder / INFO).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
        self.folder.chmod(0o755)
        os.replace(self.folder, self.out)
        return whole


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_ids(request: Request) -> Request:
    """Without its ids, and its phases packed as bytes: what stays in memory until the last request has come."""
    return replace(request, ids=np.empty((0, 0, 0), np.uint16), phase=request.phase.astype(np.int8))
