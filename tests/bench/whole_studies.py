"""Sampled studies as whole processes: cold (nothing compiled before) and warm, and the peak memory of the largest."""

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
        for study in ("optimal-k", "stress", "sensitivity"):
            for name in ("cold", "warm"):
                before, spent = time.perf_counter(), _processor()
                command = [sys.executable, "-c", "from studies.cli import main; main()", "run", study, "--quiet"]
                subprocess.run([*command, "--out", str(Path(folder) / study / name)], env=environment, check=True)
                wall = time.perf_counter() - before
                yield f"{study}, {name}", f"{wall:.1f} s, {_processor() - spent:.1f} s of processors"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # kilobytes on Linux
    yield "peak memory of a study", f"{peak:.2f} GB"


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
