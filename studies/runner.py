"""Run a study into a folder: tasks on an executor, each result written at once, so it can be stopped and resumed.

The folder's manifest names the configuration it belongs to and every file written. A folder with the same
configuration resumes; any other content is refused, unless --fresh, which deletes only what the manifest lists.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from montecarlo.errors import InputError, TaskFailed
from studies import config, results
from studies.config import Study
from studies.results import MANIFEST, Results, write_atomically
from studies.tasks import Arrays, Task

BLOCKS = "blocks"
MOST_WORLDS = 8192  # where --error stops trying

Progress = Callable[[int, int], None]


class Folder:
    """A results folder and its manifest.

    asked: what is asked for, as the text of its file `name`. digest: of all that makes the results.
    """

    def __init__(self, path: Path, digest: str, asked: str, fresh: bool, name: str = "study.toml") -> None:
        self.path, self.digest, self.asked = path, digest, name
        self.files: list[str] = []
        try:
            self._enter(fresh, asked)
            self.save(name, asked.encode())
        except OSError as error:
            raise InputError(f"cannot write to {path}: {error.strerror}; choose another folder with --out") from error

    def _enter(self, fresh: bool, asked: str) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, not a folder; choose another with --out")
        present = sorted(p.name for p in self.path.iterdir()) if self.path.is_dir() else []
        manifest = self._read()
        if manifest is None and present:
            raise InputError(
                f"{self.path} holds other files ({present[0]}, ...) and no results; "
                "choose another folder with --out (--fresh deletes only what a run wrote)"
            )
        if manifest is not None and fresh:
            for name in manifest["files"]:
                inside = (self.path / name).resolve()
                if inside.is_relative_to(self.path.resolve()):
                    inside.unlink(missing_ok=True)
        elif manifest is not None and manifest["digest"] != self.digest:
            raise InputError(
                f"{self.path} holds the results of another configuration{self._difference(asked)}; "
                "choose another folder with --out, or --fresh to replace them"
            )
        elif manifest is not None:
            self.files = list(manifest["files"])
        self.path.mkdir(parents=True, exist_ok=True)

    def _difference(self, asked: str) -> str:
        """The first line in which the folder's configuration is another, in brackets; empty where there is none."""
        try:
            there = (self.path / self.asked).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return ""
        pairs = zip_longest(there, asked.splitlines(), fillvalue="nothing")
        return next((f" (there {old!r}, asked {new!r})" for old, new in pairs if old != new), "")

    def _read(self) -> dict[str, Any] | None:
        try:
            read = json.loads((self.path / MANIFEST).read_text("utf-8"))
            if not (isinstance(read["digest"], str) and all("\0" not in name for name in read["files"])):
                raise TypeError
        except FileNotFoundError:
            return None
        except (NotADirectoryError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path / MANIFEST} is damaged; choose another folder with --out") from error
        return dict(read)

    def note(self, names: list[str]) -> None:
        """Add files to the manifest."""
        self.files = sorted({*self.files, *names, MANIFEST})
        content = json.dumps({"digest": self.digest, "files": self.files}, indent=1)
        write_atomically(self.path / MANIFEST, lambda path: _put(path, content.encode()))

    def save(self, name: str, content: bytes) -> None:
        """Write one file and note it; the manifest first, so that nothing unlisted is ever left."""
        self.note([name])
        write_atomically(self.path / name, lambda path: _put(path, content))

    def block(self, task: Task) -> Path:
        """Where the arrays of a task are kept."""
        return self.path / BLOCKS / f"{task.name}.npz"


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def load(path: Path) -> Arrays | None:
    """The arrays that a task left; None where they are absent or cut short, so that it is done again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def perform(folder: Folder, tasks: list[Task], executor: Executor, progress: Progress) -> dict[str, Arrays]:
    """Results of all tasks by name: those kept in the folder, and the others run now, each written at once.

    A task that raises stops the rest and becomes TaskFailed. On an interrupt, tasks under way are finished and kept.
    """
    done = {task.name: kept for task in tasks if (kept := load(folder.block(task))) is not None}
    folder.note([f"{BLOCKS}/{task.name}.npz" for task in tasks])
    running: dict[Future[Arrays], Task] = {
        executor.submit(task.function, *task.arguments): task for task in tasks if task.name not in done
    }

    def keep(future: "Future[Arrays]") -> None:
        task = running[future]
        try:
            arrays = future.result()
        except InputError:
            raise
        except Exception as error:
            raise TaskFailed(f"task {task.name} failed: {type(error).__name__}: {error}") from error
        write_atomically(folder.block(task), lambda path: np.savez(path, **arrays))  # type: ignore[arg-type]
        done[task.name] = arrays

    try:
        progress(len(done), len(tasks))
        for future in as_completed(running):
            keep(future)
            progress(len(done), len(tasks))
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        for future, task in running.items():
            if task.name not in done and future.done() and not future.cancelled() and future.exception() is None:
                keep(future)
        raise
    return done


def enter(study: ModuleType, name: str, resolved: Study, out: Path, *, fresh: bool) -> Folder:
    """The results folder `out` of a run; raises InputError for what cannot be run, before anything is touched."""
    for index in range(len(resolved.scenario)):
        study.prepared(resolved.model_dump_json(), index)
    return Folder(out, config.digest(name, resolved, versions()), config.to_toml(name, resolved), fresh)


def run(
    study: ModuleType,
    resolved: Study,
    folder: Folder,
    *,
    progress: Progress,
    draw: Callable[[Path], list[str]],
) -> Results:
    """Run `study` (a module with tasks, conclude and largest_error) into `folder` and write its result files.

    `draw` makes the figures and the report from the folder and returns the names of the files it wrote.
    """
    worlds = 64 if resolved.error is not None else resolved.worlds
    meta = {
        "seed": resolved.seed,
        "trace_sha256": resolved.trace_sha256,
        "versions": versions(),
    }
    _cache_compilations()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as executor:
        while True:
            done = perform(folder, study.tasks(resolved, worlds), executor, progress)
            found: Results = study.conclude(resolved, worlds, done, meta)
            if resolved.error is None or study.largest_error(found) <= resolved.error:
                break
            if worlds >= MOST_WORLDS:
                for notes in found.notes.values():
                    notes.append(f"The asked error of {resolved.error} % was not reached with {worlds} worlds.")
                break
            worlds *= 2
    finish(folder, found, draw)
    return found


def finish(folder: Folder, found: Results, draw: Callable[[Path], list[str]]) -> None:
    """Write the result files, and draw them."""
    folder.note(found.files)
    results.write(folder.path, found)
    folder.note(draw(folder.path))


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    return {package: metadata.version(package) for package in ("draftodds", "jax", "numpy", "scipy", "polars")}


def _cache_compilations() -> None:
    """Keep compiled programs between runs, in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.access(base if os.path.exists(base) else os.path.dirname(base), os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", os.path.join(base, "draftodds", "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
