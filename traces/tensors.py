"""safetensors files larger than memory: written row by row, read as a memory map.

    8 bytes      length of the header, little-endian
    header       JSON: name -> {dtype, shape, data_offsets}, "__metadata__" -> strings; padded with spaces
    data         C order, little-endian

Layout: github.com/huggingface/safetensors, README.md, "Format".
"""

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np

from montecarlo.errors import InputError

DTYPES = {"U8": np.uint8, "U16": np.uint16, "I64": np.int64}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
ALIGNED = 4096  # where data begins at the least: a page, so that rows can be mapped


def begin(file: BinaryIO, name: str, dtype: np.dtype, shape: tuple[int, ...], metadata: dict[str, str]) -> None:
    """Write the header of a file that holds one array, whose rows the caller then writes."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    header = {"__metadata__": metadata, name: {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [0, size]}}
    packed = json.dumps(header).encode()
    packed += b" " * (-(len(packed) + 8) % ALIGNED)
    file.write(len(packed).to_bytes(8, "little") + packed)


def mapped(path: Path, name: str) -> np.memmap:
    """Array `name` of a file, as a memory map; raises InputError where it is none or was cut."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if length > size:
                raise ValueError("cut short")
            said = json.loads(file.read(length))[name]
        dtype, shape = np.dtype(DTYPES[said["dtype"]]), tuple(int(n) for n in said["shape"])
        low, high = said["data_offsets"]
        if high - low != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize or 8 + length + high > size:
            raise ValueError("cut short")
        return np.memmap(path, dtype, "r", 8 + length + low, shape)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: damaged or not safetensors with {name}; import it again") from error
