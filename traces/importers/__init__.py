"""Importers: each format's name, how its files are told, and how they are read.

Routing: `detects(path, head)` sees a file's first HEAD bytes; `read(paths, reading)` yields the requests of all files
of the format, one at a time, or one Counts where only frequencies are known. Acceptance: traces/importers/acceptance.
A source may hold both (vLLM's responses do).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError
from traces.importers import (
    acceptance,
    arrays,
    counts,
    csv_log,
    esft,
    imatrix,
    loggers,
    megatron,
    recorder,
    sglang,
    tensorrt,
    vllm,
)
from traces.request import Counts, Reading, Requests, Shape
from traces.warmup import stripped
from traces.writer import Writer, sha256

HEAD, TAIL = 1 << 20, 1 << 14
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
ROUTING = tuple(name for name, _, _ in FORMATS + FREQUENCIES)
NAMES = (*ROUTING, *acceptance.FORMATS)
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


@dataclass
class Chosen:
    """The formats and files to read: of routing, of acceptance, or of both."""

    routing: str | None = None
    acceptance: str | None = None
    files: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def read(self) -> list[Path]:
        """All files that are read, each once."""
        return list(dict.fromkeys(path for paths in self.files.values() for path in paths))


def detect(found: list[Path]) -> dict[str, list[Path]]:
    """Format -> files that are of it."""
    by_format: dict[str, list[Path]] = {}
    for path in found:
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
                file.seek(max(len(head), path.stat().st_size - TAIL))
                tail = file.read(TAIL)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        names = [name for name, detects, _ in FORMATS + FREQUENCIES if detects(path, head)]
        names += acceptance.detect(path, (head + b"\n" + tail if tail else head).decode("utf-8-sig", "replace"))
        for name in names:
            by_format.setdefault(name, []).append(path)
    return by_format


def choose(sources: list[Path], format: str | None, reading: Reading) -> Chosen:
    """The formats of the sources and their files; raises InputError where none or several could be it."""
    if format is not None and format not in NAMES:
        raise InputError(f"unknown format {format!r}; allowed: {', '.join(NAMES)}")
    found = files(sources)
    by_format = detect(found)
    if format is not None:
        by_format = {format: by_format.get(format) or found}
    if not by_format:
        raise InputError(f"{found[0]}: no format known here; name one with --format: {', '.join(NAMES)}")
    of_routing, of_acceptance = ([n for n in by_format if (n in ROUTING) is kind] for kind in (True, False))
    if len(of_routing) > 1 or len(of_acceptance) > 1:
        several = "; ".join(f"{name}: {len(held)} (first: {held[0].name})" for name, held in by_format.items())
        raise InputError(
            f"the files may be of several formats ({several}); import one of routing and one of acceptance at a time, "
            "or say with --format which it is"
        )
    chosen = Chosen(next(iter(of_routing), None), next(iter(of_acceptance), None), by_format)
    left = [path for path in found if path not in set(chosen.read)]
    given = [path for path in left if path in sources]
    if given:
        named = " or ".join(by_format)
        raise InputError(f"{len(given)} files are not of format {named} (first: {given[0]}); leave them out")
    if left:
        named = " or ".join(by_format)
        reading.note(f"{len(left)} files are not of format {named} and were not read (first: {left[0].name}).")
    return chosen


def read(
    sources: list[Path],
    out: Path,
    *,
    format: str | None = None,
    shape: Shape | None = None,
    tree: Sequence[int] | None = None,
    progress: Callable[[int], None] = lambda tokens: None,
) -> dict[str, Any]:
    """Read sources into a new trace folder `out`, and return its trace.json.

    tree: nodes per depth of the drafts, where they were trees. progress is called with the tokens read so far. Raises
    InputError with all faults at once; then nothing is left.
    """
    reading = Reading(shape=shape or Shape())
    chosen = choose(sources, format, reading)
    if tree is not None and chosen.acceptance is None:
        raise InputError(f"a tree was given, but {_named(sources)} holds no acceptance ({chosen.routing})")
    with Writer(out, reading) as trace:
        held = _routing(chosen, sources, trace, reading, progress) if chosen.routing is not None else {}
        if chosen.acceptance is not None:
            log = acceptance.read(chosen.files[chosen.acceptance], chosen.acceptance, tree=tree)
            held |= trace.acceptance(log, chosen.acceptance)
        info = {
            "format": chosen.routing or chosen.acceptance,
            "files": [{"name": path.name, "sha256": sha256(path)} for path in chosen.read],
            "model": reading.model,
            **held,
        }
        return trace.seal(info)


def _routing(
    chosen: Chosen, sources: list[Path], trace: Writer, reading: Reading, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Stream the routing into the trace; what trace.json says of it."""
    assert chosen.routing is not None
    paths = chosen.files[chosen.routing]
    streams = next((reads for name, _, reads in FORMATS if name == chosen.routing), None)
    if streams is None:
        tells = next(tells for name, _, tells in FREQUENCIES if name == chosen.routing)
        known = tells(paths, reading)
        reading.faults.refuse(_named(sources))
        return trace.counts(known)
    for request in stripped(_readable(streams(paths, reading)), reading):
        trace.add(request)
        progress(trace.tokens)
    if trace.tally is None and not reading.faults:
        reading.faults.say("no request with a token in it")
    if trace.tally is None:
        reading.faults.refuse(_named(sources))
    return trace.experts(_named(sources))


def _readable(requests: Requests) -> Requests:
    """The requests; a file that cannot be read to its end is the user's to know of, unlike one that is written."""
    try:
        yield from requests
    except OSError as error:
        raise InputError(f"{error.filename or 'a source'} cannot be read: {error.strerror or error}") from error


def _named(sources: list[Path]) -> str:
    return f"{sources[0]}" if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
