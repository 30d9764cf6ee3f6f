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

import numpy as np

from montecarlo.errors import InputError
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
    """The requests of archives; decode tokens, as the layout says."""
    for path in paths:
        try:
            ids, start = npz.arrays(path)
        except InputError as error:
            reading.faults.say(str(error))
            continue
        wrong = npz.shape_faults(ids, start) or npz.start_faults(start, len(ids))
        for fault in wrong:
            reading.faults.say(f"{path.name}: {fault}")
        if wrong:
            continue
        with np.load(path, allow_pickle=False) as archive:
            requests = len(start) - 1
            beside = {name: archive[name] for name in KEPT if name in archive.files and _plain(archive, name, requests)}
        first = beside.get("first_position", np.zeros(requests, np.int64))
        for number, (low, high) in enumerate(pairwise(start.tolist())):
            yield Request(
                ids=ids[low:high],
                phase=np.full(high - low, DECODE, np.int8),
                place=f"{path.name} request {number}",
                file=path.name,
                id=str(number),
                category=str(beside["category"][number]) if "category" in beside else None,
                prompt_tokens=int(beside["n_prompt"][number]) if "n_prompt" in beside else None,
                position=int(first[number]),
            )


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


def _plain(archive: np.lib.npyio.NpzFile, name: str, requests: int) -> bool:
    """Whether the array is one value per request, and no pickle."""
    try:
        held = archive[name]
    except ValueError:
        return False
    return held.shape == (requests,) and held.dtype.kind in ("U" if name == "category" else "iu")


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
            return {name: np.lib.format.read_array(archive.open(f"{name}.npy"), allow_pickle=False) for name in names}
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
