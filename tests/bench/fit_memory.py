"""Peak memory of `trace fit` and `trace synthesise` at ten million tokens: `python -m tests.bench.fit_memory`.

    fit          10,000,000 tokens x 43 layers x top 6 of 256 experts, 5,000 requests (5.2 GB, memory-mapped)
    synthesise   a million of the same, in requests of 2,000 tokens; its memory does not grow with the requests

The whole commands, one core each, held-out requests included; about half an hour.
"""

import sys
import tempfile
from pathlib import Path

from tests.bench import traces

COMMAND = "import sys; from tests.bench import fit_memory; fit_memory.command(*sys.argv[1:])"
TARGET = ("--target", "deepseek-v4-flash", "--requests", "500", "--tokens", "2000", "--out")


def main() -> None:
    """Print seconds and peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        traces.write(folder / "trace")
        for what, argv in (
            ("fit", (str(folder / "trace"), "--out", str(folder / "p.toml"))),
            ("synthesise", ("gpt-oss-20b", *TARGET, str(folder / "made"))),
        ):
            seconds, peak = traces._measured(COMMAND, *map(Path, (what, *argv)))
            print(f"trace {what}: {seconds:.0f} CPU s, {peak:.2f} GB anonymous", flush=True)


def command(*argv: str) -> None:
    """`draftodds trace ARGV...`."""
    from studies.cli import main as draftodds

    sys.argv = ["draftodds", "trace", *argv]
    draftodds()


if __name__ == "__main__":
    main()
