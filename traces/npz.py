"""The npz layout of a routing trace: `expert_ids` [tokens, layers, top_k] and `seq_start` [requests + 1].

    expert_ids   any integer type; row t holds the experts of token t in every MoE layer, in order of generation
    seq_start    request r holds the tokens seq_start[r] .. seq_start[r+1]-1; begins with 0, ends with tokens

Other arrays in the file are not read. Pickled arrays are never loaded.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from montecarlo.errors import InputError
from montecarlo.text import Text

LAYOUT = "expected the arrays expert_ids [tokens, layers, top_k] and seq_start [requests + 1], both of integers"


def read(path: Path, *, layers: int = 0, experts: int = 0, top_k: int = 0) -> Text:
    """Read a trace, for a target of these MoE layers, experts and top_k (0: any).

    Raises InputError with all faults of the file, their counts and first places, in one line.
    """
    try:
        ids, start = _arrays(path)
    except InputError:
        raise
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, None) from error
    faults = shape_faults(ids, start)
    if not faults:
        faults = start_faults(start, len(ids)) + _fit_faults(ids, layers, top_k) + _id_faults(ids, experts)
    if faults:
        raise InputError(f"trace {path}: {'; '.join(faults)}")
    dtype = np.uint8 if ids.max() <= 255 else np.uint16
    return Text.of(experts=ids.astype(dtype, copy=False), start=start.astype(np.int64))


def digest(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal; raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception | None) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"trace {path} does not exist")
    if isinstance(error, OSError) and error.strerror:
        cause = error.strerror
    elif isinstance(error, MemoryError):
        cause = "it says it holds more than fits in memory"
    elif error is not None and "Object arrays" in str(error):
        cause = "it holds pickled objects, which are never loaded"
    elif error is not None and "null byte" in str(error):
        return InputError(f"trace {str(path)!r} cannot be read: no file has such a name")
    else:
        cause = "damaged or not an npz archive"
    return InputError(f"trace {path} cannot be read: {cause}; {LAYOUT}")


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise InputError(f"trace {path} is a single array, not an npz archive; {LAYOUT}")
        if not zipfile.is_zipfile(file):
            raise InputError(f"trace {path} cannot be read: damaged or not an npz archive; {LAYOUT}")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            missing = [name for name in ("expert_ids", "seq_start") if name not in archive.files]
            if missing:
                raise InputError(f"trace {path} has no array {' and no array '.join(missing)}; {LAYOUT}")
            experts, start = archive["expert_ids"], archive["seq_start"]
    if not isinstance(experts, np.ndarray) or not isinstance(start, np.ndarray):
        raise InputError(f"trace {path} cannot be read: expert_ids or seq_start is no array; {LAYOUT}")
    return experts, start


def shape_faults(ids: np.ndarray, start: np.ndarray) -> list[str]:
    """What is wrong with the types and axes of the two arrays."""
    faults = []
    if ids.dtype.kind not in "iu" or ids.ndim != 3 or min(ids.shape, default=0) < 1:
        faults.append(f"expert_ids is {ids.dtype} of shape {ids.shape}, not integers [tokens, layers, top_k]")
    if start.dtype.kind not in "iu" or start.ndim != 1 or start.size < 2:
        faults.append(f"seq_start is {start.dtype} of shape {start.shape}, not integers [requests + 1]")
    return faults


def start_faults(start: np.ndarray, tokens: int) -> list[str]:
    """What keeps seq_start from cutting `tokens` into requests."""
    faults, offsets = [], start.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != tokens:
        faults.append(f"seq_start runs from {offsets[0]} to {offsets[-1]}; it must run from 0 to the {tokens} tokens")
    empty = np.flatnonzero(np.diff(offsets) < 1)
    if empty.size:
        faults.append(f"seq_start does not rise at {empty.size} requests (first: request {empty[0]})")
    return faults


def _fit_faults(ids: np.ndarray, layers: int, top_k: int) -> list[str]:
    faults = []
    if layers and ids.shape[1] != layers:
        faults.append(f"it has {ids.shape[1]} layers, the target {layers} MoE layers")
    if top_k and ids.shape[2] != top_k:
        faults.append(f"it has {ids.shape[2]} experts per token, the target top_k {top_k}")
    return faults


def _id_faults(ids: np.ndarray, experts: int) -> list[str]:
    faults, most = [], (experts or 65_535) - 1
    out = (ids < 0) | (ids > most)
    if out.any():
        token, layer, slot = np.argwhere(out)[0]
        whose = f" of the target's {experts} experts" if experts else ""
        faults.append(
            f"{int(out.sum())} expert ids are out of range 0..{most}{whose} "
            f"(first: {ids[token, layer, slot]} at token {token}, layer {layer}); "
            "rows that were not captured must be left out"
        )
    ordered = np.sort(ids, axis=2)
    twice = np.any((ordered[:, :, 1:] == ordered[:, :, :-1]) & (ordered[:, :, 1:] >= 0), axis=2)
    if twice.any():
        token, layer = np.argwhere(twice)[0]
        faults.append(
            f"{int(twice.sum())} rows name an expert twice (first: token {token}, layer {layer}: "
            f"{ids[token, layer].tolist()})"
        )
    return faults
