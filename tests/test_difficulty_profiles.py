"""Profiles of kind difficulty: what is written is read back, and faults name the profile."""

from pathlib import Path

import jax
import numpy as np
import pytest

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from traces import profiles
from traces.fit_acceptance import Fit, names_of
from traces.fit_curve import NAMES
from traces.profiles import difficulty

THETA = np.array([2.12345, 1.0, 0.5, 1.2, 0.7, np.log(3.0), np.log(60.0), 0.0])
KNOWN = np.diag(np.array([0.1, 0.2, 0.1, 0.2, 0.1, 0.3, 0.3]) ** 2)
COVARIANCE = np.full((8, 8), np.nan)
COVARIANCE[:7, :7] = KNOWN
FIT = Fit(names_of(2), THETA, COVARIANCE, COVARIANCE, -100.0, 250.0, 10, 500)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    text = difficulty.toml(
        FIT, id="own", title="a fit", source='a log \\ """ of ours', limits="few requests", fall=0.25
    )
    difficulty.write(path, text)
    read = profiles.load(str(path))
    assert (read.kind, read.id, read.title) == ("difficulty", "own", "a fit")
    assert read.source == 'a log \\ """ of ours'
    process = difficulty.process(read.numbers, read.id)
    np.testing.assert_allclose(process.offsets, [2.123, 1.0])
    expected = {"fall": 0.25, "request_sd": 0.5, "short_sd": 1.2, "short_tokens": 3, "slow_sd": 0.7, "slow_tokens": 60}
    for name, value in expected.items():
        assert float(getattr(process, name)) == pytest.approx(value)
    assert read.numbers["standard_errors"]["short_sd"] == 0.2
    assert "length_slope" not in read.numbers["standard_errors"]  # not determined
    assert read.numbers["correlation"]["names"] == list(FIT.names[:7])
    np.testing.assert_array_equal(read.numbers["correlation"]["matrix"], np.eye(7))
    with pytest.raises(InputError, match="is there already"):
        difficulty.write(path, text)
    assert [file.name for file in tmp_path.iterdir()] == ["own.toml"]


def test_the_profile_of_a_curve_is_read_back(tmp_path: Path) -> None:
    fitted = Difficulty.of([2.0], fall=0.3, short_sd=1.2, slow_sd=0.5), np.full(7, 0.25), np.eye(7)
    difficulty.write(
        tmp_path / "own.toml", difficulty.toml_of_curve(fitted, id="own", title="a curve", source="ours", limits="few")
    )
    read = profiles.load(str(tmp_path / "own.toml"))
    process = difficulty.process(read.numbers, read.id)
    for found, given in zip(jax.tree.leaves(process), jax.tree.leaves(fitted[0]), strict=True):
        np.testing.assert_allclose(found, given)
    assert read.numbers["standard_errors"] == dict.fromkeys(NAMES, 0.25)
    assert read.numbers["correlation"]["names"] == list(NAMES)
    assert "length_slope" not in read.numbers


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "profile x needs offsets"),
        ({"offsets": [1.0], "short_sd": "much"}, "profile x: short_sd must be numbers"),
        ({"offsets": [1.0], "slow_sd": True}, "profile x: slow_sd must be numbers"),
        ({"offsets": [1.0], "short_sd": -1}, "profile x: short_sd is -1"),
        ({"offsets": "none"}, "profile x: offsets are 'none'"),
    ],
)
def test_faults_name_the_profile(numbers: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        difficulty.process(numbers, "x")
