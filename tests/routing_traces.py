"""Made-up routing with known content, and what a trace folder gives back of it."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from montecarlo.errors import InputError
from traces import importers
from traces.request import Shape
from traces.store import Trace


def routed(tokens: int, layers: int = 5, experts: int = 16, top_k: int = 4, seed: int = 0) -> np.ndarray:
    """ids [tokens, layers, top_k], distinct in each row and in no order."""
    draw = np.random.default_rng([seed, tokens])
    return np.argsort(draw.random((tokens, layers, experts)), axis=2)[:, :, :top_k].astype(np.int64)


def npy(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


@dataclass(frozen=True)
class Back:
    """A trace read back: per request its ids (-1: missing), phases and positions."""

    ids: list[np.ndarray]
    phases: list[list[str | None]]
    positions: list[list[int]]
    requests: pl.DataFrame
    info: dict[str, Any]

    @property
    def notes(self) -> str:
        return " ".join(self.info["notes"])


def back(folder: Path) -> Back:
    trace = Trace.open(folder)
    ids = np.where(trace.experts == np.iinfo(trace.experts.dtype).max, -1, trace.experts.astype(np.int64))
    tokens = trace.frame("tokens").collect()
    cut = trace.start[1:-1]
    assert len(tokens) == len(ids) == trace.start[-1] == trace.info["tokens"]
    for number, (low, high) in enumerate(zip(trace.start[:-1], trace.start[1:], strict=True)):
        assert set(tokens["request"][int(low) : int(high)]) == {number}
    assert tokens["captured"].to_list() == (ids >= 0).all(axis=(1, 2)).tolist()
    return Back(
        np.split(ids, cut),
        [part.tolist() for part in np.split(np.asarray(tokens["phase"].to_list(), object), cut)],
        [part.tolist() for part in np.split(tokens["position"].to_numpy(), cut)],
        trace.frame("requests").collect(),
        trace.info,
    )


def imported(tmp_path: Path, *sources: Path, shape: Shape | None = None, format: str | None = None) -> Back:
    """The sources imported; no format needs to be named unless a test does."""
    out = tmp_path / "imported"
    importers.read(list(sources), out, format=format, shape=shape)
    return back(out)


def refused(tmp_path: Path, *sources: Path, shape: Shape | None = None, format: str | None = None) -> str:
    """What the import of the sources is refused with, after a look that nothing is left behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        importers.read(list(sources), tmp_path / "imported", format=format, shape=shape)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def lines(path: Path, *documents: Any) -> Path:
    """JSON Lines."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    return path
