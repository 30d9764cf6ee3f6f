"""Arrays of routed experts: the npz layout of traces/npz.py, and .npy files of one request each.

.npz   expert_ids [tokens, layers, top_k], seq_start [requests + 1]; also, where they are there,
       first_position [requests] (of a request's first row) and category [requests]
.npy   [tokens, layers, top_k] of one request, as vLLM's `RequestOutput.outputs[i].routed_experts`
"""

import zipfile
import zlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from traces import npz
from traces.request import DECODE, UNKNOWN, Reading, Request, Requests

KEPT = ("first_position", "n_prompt", "category")


def detects_npz(path: Path, head: bytes) -> bool:
    """Whether the file is an archive with the two arrays."""
    return members(path, head) >= {"expert_ids", "seq_start"}


def detects_npy(path: Path, head: bytes) -> bool:
    """Whether the file is one array of three axes whose rows name experts, none twice."""
    ids = opened(path) if head.startswith(b"\x93NUMPY") else None
    if ids is None or ids.ndim != 3 or ids.dtype.kind not in "iu" or not ids.size:
        return False
    some = np.sort(np.asarray(ids[:64]), axis=2)
    twice = (some[:, :, 1:] == some[:, :, :-1]) & (some[:, :, 1:] > 0)
    return not twice.any()


def read_npz(paths: list[Path], reading: Reading) -> Requests:
    """The requests of archives, one at a time; decode tokens, as the layout says."""
    for path in paths:
        try:
            yield from _archive(path, reading)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, MemoryError) as error:
            reading.faults.add(f"files are damaged or not of the layout; {npz.LAYOUT}", f"{path.name}: {error}")


def read_npy(paths: list[Path], reading: Reading) -> Requests:
    """One request per file, read through a memory map; prompt and decode are not told apart."""
    reading.note("Arrays do not say how long their prompt is: prompt and decode are not told apart.")
    for path in paths:
        ids = opened(path)
        if ids is None or ids.ndim != 3:
            reading.faults.add("files are no array [tokens, layers, top_k]", path.name)
            continue
        phase = np.full(len(ids), UNKNOWN, np.int8)
        yield Request(ids=ids, phase=phase, place=path.name, file=path.name, id=path.stem)


def _archive(path: Path, reading: Reading) -> Requests:
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        if not names >= {"expert_ids", "seq_start"}:
            raise ValueError("no such arrays")
        start = _member(archive, "seq_start")
        with archive.open("expert_ids.npy") as rows:
            shape, dtype = _header(rows)
            like = np.broadcast_to(np.empty((), dtype), shape)  # what is said of an array, without its memory
            wrong = npz.shape_faults(like, start) or npz.start_faults(start, len(like))
            for fault in wrong:
                reading.faults.say(f"{path.name}: {fault}")
            if wrong:
                return
            requests, size = len(start) - 1, int(np.prod(shape[1:])) * dtype.itemsize
            beside = {name: one for name in KEPT if (one := _beside(archive, name, requests)) is not None}
            first = beside.get("first_position", np.zeros(requests, np.int64))
            for number, (low, high) in enumerate(pairwise(start.tolist())):
                held = rows.read((high - low) * size)
                yield Request(
                    ids=np.frombuffer(held, dtype).reshape(high - low, *shape[1:]),
                    phase=np.full(high - low, DECODE, np.int8),
                    place=f"{path.name} request {number}",
                    file=path.name,
                    id=str(number),
                    category=str(beside["category"][number]) if "category" in beside else None,
                    prompt_tokens=int(beside["n_prompt"][number]) if "n_prompt" in beside else None,
                    position=int(first[number]),
                )
            rows.read()  # to the end, where the archive's checksum is compared


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of an npy file, which then stands at its data; raises ValueError where it is no plain array."""
    version = np.lib.format.read_magic(file)
    reads = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reads(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded")
    if fortran:
        raise ValueError("expert_ids is in Fortran order; write it with np.ascontiguousarray")
    return shape, dtype


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _beside(archive: zipfile.ZipFile, name: str, requests: int) -> np.ndarray | None:
    """An array of one value per request of the right kind; None where it is none, or not there."""
    try:
        held = _member(archive, name)
    except (KeyError, ValueError):  # ValueError: pickled objects
        return None
    return held if held.shape == (requests,) and held.dtype.kind in ("U" if name == "category" else "iu") else None


def members(path: Path, head: bytes) -> set[str]:
    """Names of the arrays of an npz archive; none where the file is no archive."""
    if not head.startswith(b"PK"):
        return set()
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return set()


def archived(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of an npz archive; raises ValueError where it is none, lacks one, or holds pickles."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return {name: _member(archive, name) for name in names}
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, MemoryError, OSError) as error:
        raise ValueError(f"damaged, or without {', '.join(names)}") from error


def opened(path: Path) -> np.ndarray | None:
    """The array of an npy file as a memory map; None where it is none, or a pickle."""
    try:
        with path.open("rb") as file:
            if file.read(6) != np.lib.format.MAGIC_PREFIX:
                return None
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError):
        return None
