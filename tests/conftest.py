"""Strict numerics for all tests, and the shared data some of them need."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import settings

from montecarlo.text import Text

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)

settings.register_profile("draftodds", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("draftodds")

DATA = Path(os.environ.get("DRAFTODDS_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared data; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"needs the shared data, and {DATA} is no folder (DRAFTODDS_DATA names another)")
    return DATA


@pytest.fixture(scope="session")
def gpt_oss_20b(data: Path) -> Text:
    """The 425 non-repetitive requests of the full gpt-oss-20b decode trace."""
    with np.load(data / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing.npz") as archive:
        experts, start = archive["expert_ids"], archive["seq_start"]
        kept = ~archive["has_repetition"]
    rows = np.repeat(kept, np.diff(start))
    return Text.of(experts=experts[rows], start=np.concatenate([[0], np.cumsum(np.diff(start)[kept])]))


def _skipped(config: pytest.Config) -> list[str]:
    """Tests that were skipped although the data they could ask for is there."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not DATA.is_dir():
        return []
    return [report.nodeid for report in reporter.stats.get("skipped", [])]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With the data there, a skipped test is a failure."""
    if exitstatus == pytest.ExitCode.OK and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which tests were skipped, and why that fails."""
    skipped = _skipped(config)
    if skipped:
        terminalreporter.write_line(
            f"FAILED: the data is at {DATA}, so nothing may be skipped: {', '.join(skipped)}", red=True
        )
