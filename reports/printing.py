"""`report.html` on paper: printed by a browser that is there, since no other tool reads the page as readers do."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from montecarlo.errors import InputError
from studies.results import write_atomically

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PLACES = (  # where browsers are that put nothing on the path
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
SECONDS = 120


def browser() -> str | None:
    """A Chromium, Chrome or Edge of this machine."""
    found = (shutil.which(name) for name in (*BROWSERS, *PLACES))
    return next((path for path in found if path), None)


def write(folder: Path) -> list[str]:
    """Print `report.html` to `report.pdf`; returns the names of the files. Raises InputError where no browser is."""
    program = browser()
    if program is None:
        raise InputError(
            "--pdf prints report.html with a browser, and none of Chromium, Chrome and Edge is on the path; install "
            "one, or open report.html and print it (the figures are written as PDF all the same)"
        )

    def printed(path: Path) -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [
                program,
                "--headless",
                "--disable-gpu",
                "--no-first-run",
                "--no-sandbox",  # the page is ours, holds no foreign script, and root has no sandbox
                f"--user-data-dir={profile}",
                "--no-pdf-header-footer",
                f"--print-to-pdf={path.resolve()}",
                (folder / "report.html").resolve().as_uri(),
            ]
            done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
        if not path.is_file() or not path.read_bytes().startswith(b"%PDF"):
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(f"{program} did not print report.html: {said[-1] if said else 'it said nothing'}")

    write_atomically(folder / "report.pdf", printed)
    return ["report.pdf"]
