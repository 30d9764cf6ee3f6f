"""The default study as a whole process: cold (nothing compiled before), warm, and its peak memory."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": str(Path(folder) / "cache")}
        (Path(folder) / "cache").mkdir()
        for name in ("cold", "warm"):
            before = time.perf_counter()
            command = [sys.executable, "-c", "from studies.cli import main; main()", "run", "optimal-k", "--quiet"]
            subprocess.run([*command, "--out", str(Path(folder) / name)], env=environment, check=True)
            yield f"default study, {name}", f"{time.perf_counter() - before:.1f} s"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # kilobytes on Linux
    yield "default study, peak memory", f"{peak:.2f} GB"
