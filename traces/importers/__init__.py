"""Routing importers: each format's name, how its files are told, and how they are read.

`detects(path, head)` sees a file's first HEAD bytes; `read(paths, reading)` yields the requests of all files of the
format, one at a time, or one Counts where only frequencies are known.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from traces.importers import arrays, counts, csv_log, esft, imatrix, loggers, megatron, recorder, sglang, tensorrt, vllm
from traces.request import Counts, Reading, Requests, Shape
from traces.warmup import stripped
from traces.writer import Writer, sha256

HEAD = 1 << 20
Detects = Callable[[Path, bytes], bool]
Reads = Callable[[list[Path], Reading], Requests]
Tells = Callable[[list[Path], Reading], Counts]

FORMATS: tuple[tuple[str, Detects, Reads], ...] = (
    ("npz", arrays.detects_npz, arrays.read_npz),
    ("npy", arrays.detects_npy, arrays.read_npy),
    ("vllm", vllm.detects, vllm.read),
    ("sglang", sglang.detects, sglang.read),
    ("sglang-recorder", recorder.detects, recorder.read),
    ("megatron", megatron.detects, megatron.read),
    ("esft", esft.detects, esft.read),
    ("csv", csv_log.detects, csv_log.read),
    ("log", loggers.detects, loggers.read),
)
FREQUENCIES: tuple[tuple[str, Detects, Tells], ...] = (
    ("counts", lambda path, head: counts.detects_json(path, head) or counts.detects_npy(path, head), counts.read),
    ("tensorrt-llm", tensorrt.detects, tensorrt.read),
    ("imatrix", imatrix.detects, imatrix.read),
)
NAMES = tuple(name for name, _, _ in FORMATS + FREQUENCIES)
PICKLED = (".pt", ".pth", ".pkl", ".pickle")


def files(sources: list[Path]) -> list[Path]:
    """All files of the sources, folders walked through in order of name; raises InputError where there are none."""
    found: list[Path] = []
    for source in sources:
        try:
            if source.is_dir():
                inside = sorted(path for path in source.rglob("*") if path.is_file())
                found += [path for path in inside if not any(p.startswith(".") for p in path.relative_to(source).parts)]
            else:
                with source.open("rb"):
                    found.append(source)
        except FileNotFoundError as error:
            raise InputError(f"{source} does not exist") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise InputError(f"{', '.join(map(str, sources))}: no file in it")
    pickled = [path for path in found if path.suffix in PICKLED]
    if pickled:
        raise InputError(
            f"{len(pickled)} of {len(found)} files are torch pickles (first: {pickled[0]}), which are never loaded: "
            "convert them once, in your own environment, with the snippet of docs/traces.md (weights_only=True)"
        )
    return found


def detect(found: list[Path]) -> dict[str, list[Path]]:
    """Format -> files that are of it."""
    by_format: dict[str, list[Path]] = {}
    for path in found:
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        for name, detects, _ in FORMATS + FREQUENCIES:
            if detects(path, head):
                by_format.setdefault(name, []).append(path)
    return by_format


def choose(sources: list[Path], format: str | None, reading: Reading) -> tuple[str, list[Path]]:
    """The format of the sources and their files; raises InputError where none or several could be it."""
    if format is not None and format not in NAMES:
        raise InputError(f"unknown format {format!r}; allowed: {', '.join(NAMES)}")
    found = files(sources)
    by_format = detect(found)
    if format is not None:
        paths = by_format.get(format) or found
    elif not by_format:
        raise InputError(f"{found[0]}: no format known here; name one with --format: {', '.join(NAMES)}")
    elif len(by_format) > 1:
        several = "; ".join(f"{name}: {len(held)} (first: {held[0].name})" for name, held in by_format.items())
        raise InputError(f"the files may be of several formats ({several}); say which with --format")
    else:
        format, paths = next(iter(by_format.items()))
    left = [path for path in found if path not in set(paths)]
    given = [path for path in left if path in sources]
    if given:
        raise InputError(f"{len(given)} files are not of format {format} (first: {given[0]}); leave them out")
    if left:
        reading.note(f"{len(left)} files are not of format {format} and were not read (first: {left[0].name}).")
    return format, paths


def read(
    sources: list[Path],
    out: Path,
    *,
    format: str | None = None,
    shape: Shape | None = None,
    progress: Callable[[int], None] = lambda tokens: None,
) -> dict[str, Any]:
    """Read sources into a new trace folder `out`, and return its trace.json.

    progress is called with the tokens read so far. Raises InputError with all faults at once; then nothing is left.
    """
    reading = Reading(shape=shape or Shape())
    chosen, paths = choose(sources, format, reading)
    with Writer(out, reading) as trace:
        routing = next((reads for name, _, reads in FORMATS if name == chosen), None)
        if routing is not None:
            for request in stripped(_readable(routing(paths, reading)), reading):
                trace.add(request)
                progress(trace.tokens)
            if trace.tally is None and not reading.faults:
                reading.faults.say("no request with a token in it")
            if trace.tally is None:
                reading.faults.refuse(_named(sources))
            held = trace.experts(_named(sources))
        else:
            tells = next(tells for name, _, tells in FREQUENCIES if name == chosen)
            known = tells(paths, reading)
            reading.faults.refuse(_named(sources))
            held = trace.counts(known)
        info = {
            "format": chosen,
            "files": [{"name": path.name, "sha256": sha256(path)} for path in paths],
            "model": reading.model,
            **held,
        }
        return trace.seal(info)


def _readable(requests: Requests) -> Requests:
    """The requests; a file that cannot be read to its end is the user's to know of, unlike one that is written."""
    try:
        yield from requests
    except OSError as error:
        raise InputError(f"{error.filename or 'a source'} cannot be read: {error.strerror or error}") from error


def _named(sources: list[Path]) -> str:
    return f"{sources[0]}" if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
