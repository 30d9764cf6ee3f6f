"""A real browser and reports to open in it; `make browser` runs this folder, `make test` does not."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_cli import invoke, sets

if not any("browser" in argument for argument in sys.argv):
    collect_ignore_glob = ["test_*.py"]

KEYS = {
    "economics": {},
    "optimal-k": {"batch": "[1, 2, 8, 32]", "context_tokens": "[4096, 65536]", "world_requests": "64", "worlds": "8"},
}


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """report.html of a run of each study."""
    found = {}
    for study, keys in KEYS.items():
        out = tmp_path_factory.mktemp("reports") / study
        assert invoke("run", study, *sets(**keys), "--out", str(out), "--quiet").code == 0
        found[study] = out / "report.html"
    return found
