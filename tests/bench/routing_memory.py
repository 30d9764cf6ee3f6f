"""Peak memory of the statistics of 10 million tokens: `python -m tests.bench.routing_memory [layers top_k experts]`.

A memory-mapped text (24 layers, top 4 of 32 experts unless told) of 30,000 requests, read as a fit reads it, with the
covariance of its parameters. The fit itself adds a simulation, which does not grow with the trace.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from montecarlo.text import Text
from traces.fit_routing import NAMES, deviations
from traces.routing_statistics import LAGS, WINDOWS, statistics

TOKENS, REQUESTS = 10_000_000, 30_000


def main() -> None:
    """Print the time and the peak."""
    layers, top_k, experts = (int(word) for word in sys.argv[1:4]) if len(sys.argv) > 3 else (24, 4, 32)
    with tempfile.TemporaryDirectory() as folder:
        path, rng = Path(folder) / "experts.npy", np.random.default_rng(0)
        rows = np.lib.format.open_memmap(path, "w+", np.uint8, (TOKENS, layers, top_k))
        for low in range(0, TOKENS, 1 << 16):
            first = rng.integers(experts, size=(min(1 << 16, TOKENS - low), layers, 1))
            rows[low : low + len(first)] = (first + np.arange(top_k) * (experts // top_k)) % experts
        rows.flush()
        cuts = np.sort(rng.choice(np.arange(1, TOKENS), REQUESTS - 1, replace=False))
        text = Text(np.load(path, mmap_mode="r"), np.concatenate([[0], cuts, [TOKENS]]))
        peak, done = [_anonymous()], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak.append(_anonymous())

        watching = threading.Thread(target=watch)
        watching.start()
        start = time.perf_counter()
        _, influence = statistics(text, experts).moments()
        slopes = rng.normal(size=(1 + len(LAGS) + len(WINDOWS), layers, len(NAMES) + 1))
        deviations(slopes, influence)
        took = time.perf_counter() - start
        done.set()
        watching.join()
    print(f"10 million tokens x {layers} layers x top {top_k} of {experts}: {took:.0f} s, {max(peak):.2f} GB anonymous")


def _anonymous() -> float:
    """GB of anonymous memory of this process (Linux)."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e6


if __name__ == "__main__":
    main()
