"""Describing a trace: seconds for a million tokens, and the memory of ten million.

    1,000,000 tokens x 24 layers x top-4 of 32 experts, 2,500 requests
    10,000,000 tokens x 43 layers x top-6 of 256 experts, 5,000 requests (5.2 GB on disk)

One core each; seconds of the clock depend on what else runs, those of the processor do not. Anonymous memory is
sampled from outside; pages of the memory-mapped file are not in it.
"""

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import traces

DESCRIBE = "import sys; from pathlib import Path; from tests.bench import describe; describe.run(Path(sys.argv[1]))"


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure."""
    for label, write in (("1,000,000 x 24 x 4", write_small), ("10,000,000 x 43 x 6", traces.write)):
        with tempfile.TemporaryDirectory() as name:
            write(Path(name) / "trace")
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds, peak = traces._measured(DESCRIBE, Path(name) / "trace")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            yield f"describe of {label}, one core", f"{seconds:.0f} s ({busy:.0f} s of processor), {peak:.2f} GB"


def run(folder: Path) -> None:
    """Describe, without a page."""
    from traces.describe import describe

    describe(folder)


def write_small(folder: Path, requests: int = 2500, tokens: int = 400) -> None:
    """A million tokens through the store's writer."""
    from traces.request import Reading, Request, Shape, split
    from traces.writer import Writer

    ids = traces._routed(2 * tokens, 24, 32, 4)
    with Writer(folder, Reading(shape=Shape(24, 32, 4, 24))) as trace:
        for request in range(requests):
            low = request % tokens
            trace.add(Request(ids=ids[low : low + tokens], phase=split(tokens, 0), place="made up", id=str(request)))
        trace.seal({"format": "made up", **trace.experts("made up")})
