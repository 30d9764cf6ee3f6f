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


def read(path: Path) -> Text:
    """Read a trace; raises InputError with all its faults, counts and first places, in one line."""
    try:
        experts, start = _arrays(path)
    except InputError:
        raise
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, None) from error
    faults = _faults(experts, start)
    if faults:
        raise InputError(f"trace {path}: {'; '.join(faults)}")
    dtype = np.uint8 if experts.max() <= 255 else np.uint16
    return Text.of(experts=experts.astype(dtype, copy=False), start=start.astype(np.int64))


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


def _faults(experts: np.ndarray, start: np.ndarray) -> list[str]:
    faults = []
    if experts.dtype.kind not in "iu" or experts.ndim != 3 or min(experts.shape, default=0) < 1:
        faults.append(f"expert_ids is {experts.dtype} of shape {experts.shape}, not integers [tokens, layers, top_k]")
    if start.dtype.kind not in "iu" or start.ndim != 1 or start.size < 2:
        faults.append(f"seq_start is {start.dtype} of shape {start.shape}, not integers [requests + 1]")
    if faults:
        return faults
    offsets = start.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != len(experts):
        faults.append(
            f"seq_start runs from {offsets[0]} to {offsets[-1]}; it must run from 0 to the {len(experts)} tokens"
        )
    empty = np.flatnonzero(np.diff(offsets) < 1)
    if empty.size:
        faults.append(f"seq_start does not rise at {empty.size} requests (first: request {empty[0]})")
    out = np.argwhere((experts < 0) | (experts > 65534))
    if out.size:
        token, layer, slot = out[0]
        faults.append(
            f"{len(out)} expert ids are negative or above 65534 "
            f"(first: {experts[token, layer, slot]} at token {token}, layer {layer})"
        )
    return faults


def check(text: Text, *, path: Path, layers: int, experts: int, top_k: int) -> None:
    """Raise InputError where the trace does not fit a target of these MoE layers, experts and top_k."""
    faults = []
    if text.experts.shape[1] != layers:
        faults.append(f"it has {text.experts.shape[1]} layers, the target {layers} MoE layers")
    if text.experts.shape[2] != top_k:
        faults.append(f"it has {text.experts.shape[2]} experts per token, the target top_k {top_k}")
    over = text.experts >= experts
    if over.any():
        token, layer, slot = np.argwhere(over)[0]
        faults.append(
            f"{int(over.sum())} expert ids are out of range 0..{experts - 1} of the target's {experts} experts "
            f"(first: {text.experts[token, layer, slot]} at token {token}, layer {layer})"
        )
    if not faults:
        ordered = np.sort(text.experts, axis=2)
        twice = np.any(ordered[:, :, 1:] == ordered[:, :, :-1], axis=2)
        if twice.any():
            token, layer = np.argwhere(twice)[0]
            faults.append(
                f"{int(twice.sum())} rows name an expert twice (first: token {token}, layer {layer}: "
                f"{text.experts[token, layer].tolist()}); rows that were not captured must be left out"
            )
    if faults:
        raise InputError(f"trace {path} does not fit: {'; '.join(faults)}")
