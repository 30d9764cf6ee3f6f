"""What the tests of acceptance importers share: files to write, logs to look at, refusals."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montecarlo.errors import InputError
from traces.acceptance_log import AcceptanceLog
from traces.importers import acceptance

ACCEPTED = [[3, 0, 1, 2, 3, 0], [1, 1, 0], [0, 0, 0, 2]]  # drafts of three requests, step by step


def saved(folder: Path, name: str, *rows: Any) -> Path:
    """A file of JSON lines, or of the text given."""
    path = folder / name
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def histogram(accepted: list[int], length: int = 3) -> list[int]:
    return [accepted.count(j) for j in range(length + 1)]


def survival(log: AcceptanceLog, **where: Any) -> list[float]:
    held = log.curves.filter(*(pl.col(name) == value for name, value in where.items()))
    assert held["depth"].to_list() == list(range(1, held.height + 1))
    return held["survival"].to_list()


def refused(path: Path | list[Path], **given: Any) -> str:
    paths = path if isinstance(path, list) else [path]
    with pytest.raises(InputError) as caught:
        acceptance.read(paths, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)
