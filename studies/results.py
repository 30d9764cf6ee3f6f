"""The only reader and writer of a study's result files.

A results folder holds `study.toml` (the resolved configuration), the study's Parquet files (studies/columns.py),
`explorer.json` where a page can move something, `figures/`, `report.html` and `manifest.json`. Nothing in them depends
on the clock or on the host.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montecarlo.errors import InputError
from studies.columns import FILES

if TYPE_CHECKING:
    import pandas

MANIFEST = "manifest.json"
EXPLORER = "explorer.json"


@dataclass(frozen=True)
class Results:
    """What a results folder says.

    study: its id. frames: one for each of `columns.FILES[study]`, with its columns; they may be empty.
    notes: assumptions made and things left out, a sentence each, by scenario.
    meta: seed, versions, digest of the trace. explorer: what the page can move (studies/explorer.py), if anything.
    """

    study: str
    frames: dict[str, pl.DataFrame]
    notes: dict[str, list[str]]
    meta: dict[str, Any]
    explorer: dict[str, Any] | None = None

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return [*(f"{name}.parquet" for name in FILES[self.study]), *([EXPLORER] if self.explorer else [])]

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.frames[name]

    def to_pandas(self, name: str) -> "pandas.DataFrame":
        """A frame as pandas has it (polars' own way needs pyarrow)."""
        import pandas

        return pandas.DataFrame(self.frames[name].to_dict(as_series=False))


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


def note(folder: Path, names: list[str]) -> None:
    """Add files to the folder's manifest, so that --fresh deletes them too; a folder without one stays without."""
    path = folder / MANIFEST
    if path.is_file():
        held = json.loads(path.read_text("utf-8"))
        said = json.dumps(held | {"files": sorted({*held["files"], *names})}, indent=1)
        write_atomically(path, lambda place: _put(place, said.encode()))


def write(folder: Path, results: Results) -> list[str]:
    """Write the study's files into `folder` and return their names."""
    said = {"study": results.study, "meta": results.meta, "notes": results.notes}
    metadata = {"draftodds": json.dumps(said, sort_keys=True)}
    for name, schema in FILES[results.study].items():
        ordered = results[name].select([pl.col(column).cast(dtype) for column, dtype in schema.items()])

        def save(path: Path, ordered: pl.DataFrame = ordered) -> None:
            ordered.write_parquet(path, metadata=metadata)

        write_atomically(folder / f"{name}.parquet", save)
    if results.explorer:
        text = explorer_text(results.explorer).encode()
        write_atomically(folder / EXPLORER, lambda path: _put(path, text))
    return results.files


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def explorer_text(explorer: dict[str, Any]) -> str:
    """As it stands in its file; raises ValueError for what JSON cannot say."""
    return json.dumps(explorer, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def read(folder: Path | str) -> Results:
    """Read a results folder back; raises InputError where it is not one."""
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder} is not a results folder: there is nothing there; run a study first")
    if not os.path.isfile(folder / "results.parquet"):
        raise InputError(f"{folder} is not a results folder (results.parquet missing); run a study first")
    try:
        said = json.loads(pl.read_parquet_metadata(folder / "results.parquet")["draftodds"])
        frames, schemas = {}, FILES[said["study"]]
        missing = [f"{name}.parquet" for name in schemas if not os.path.isfile(folder / f"{name}.parquet")]
        if missing:
            raise InputError(f"{folder} is not a results folder ({', '.join(missing)} missing); run a study first")
        for name, schema in schemas.items():
            frame = pl.read_parquet(folder / f"{name}.parquet")
            if dict(frame.schema) != dict(pl.Schema(schema)):
                raise ValueError(f"{name}.parquet has other columns")
            frames[name] = frame
        explorer = _explorer(folder / EXPLORER)
        return Results(str(said["study"]), frames, dict(said["notes"]), dict(said["meta"]), explorer)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds damaged result files ({error}); run the study again with --fresh") from error


def _explorer(path: Path) -> dict[str, Any] | None:
    """What explorer.json holds; None where there is none, as in folders of older versions."""
    if not path.is_file():
        return None
    read = json.loads(path.read_text("utf-8"))
    if not isinstance(read, dict) or not isinstance(read.get("scenarios"), list):
        raise ValueError(f"{EXPLORER} has no scenarios")
    return read
