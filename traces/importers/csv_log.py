"""CSV of one expert per line, as hooks in llama.cpp's eval callback write it: token,layer,expert[,t_ns].

Lines of one token and layer follow one another, and a token and layer that come again begin a new request.
"""

from pathlib import Path

from traces.importers.rows import Rows, assembled
from traces.request import UNKNOWN, Reading, Requests

HEAD = b"token,layer,expert"


def detects(path: Path, head: bytes) -> bool:
    """Whether the file begins with such a line of names."""
    return head.lstrip(b"\xef\xbb\xbf").replace(b" ", b"").startswith(HEAD)


def read(paths: list[Path], reading: Reading) -> Requests:
    """The requests of each file; layers are those of all files."""
    files = []
    for path in paths:
        rows = Rows(path.name, reading)
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            at: tuple[int, int] | None = None
            ids: list[int] = []
            place = ""
            for number, line in enumerate(file, 1):
                if number == 1 or not line.strip():
                    continue
                try:
                    token, layer, expert = map(int, line.split(",")[:3])
                except ValueError:
                    reading.faults.add("lines that are not token,layer,expert", f"{path.name} line {number}")
                    continue
                if (token, layer) != at:
                    if at is not None:
                        rows.add(None, *at, ids, UNKNOWN, place)
                    at, ids, place = (token, layer), [], f"{path.name} line {number}"
                ids.append(expert)
            if at is not None:
                rows.add(None, *at, ids, UNKNOWN, place)
        files.append(rows)
    yield from assembled(files, reading)
