"""Real runs, small, and a real browser: `make browser` installs what these tests need. Collected only when named."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from reports import printing

RUNS = {
    "optimal-k": ["--worlds", "16"],
    "economics": [],
    "frontier": [],
    "stress": ["--worlds", "16"],
    "sensitivity": [],
    "validate": [],
}
OTHERS = ("trace", "compare")


def draftodds(*arguments: str) -> None:
    """Run the command line; a failure shows what it said."""
    done = subprocess.run([sys.executable, "-m", "studies", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of every study, of a described trace, and of a comparison."""
    out = tmp_path_factory.mktemp("out")
    for study, options in RUNS.items():
        draftodds("run", study, "--quiet", "--out", str(out / study), *options)
    draftodds("trace", "synthesise", "gpt-oss-20b", "--requests", "40", "--tokens", "64", "--out", str(out / "made"))
    draftodds("trace", "describe", str(out / "made"), "--out", str(out / "trace"))
    dearer = ["--set", "drafter=fraction:0.2", "--set", "batch=[1, 16]", "--worlds", "16"]
    draftodds("run", "optimal-k", "--quiet", "--out", str(out / "dearer"), *dearer)
    draftodds("compare", "--quiet", str(out / "optimal-k"), str(out / "dearer"), "--out", str(out / "compare"))
    return {folder: out / folder / "report.html" for folder in (*RUNS, *OTHERS)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium of this machine, or the one Playwright brings."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=printing.browser(), args=["--no-sandbox", "--disable-quic"])
        yield opened
        opened.close()
