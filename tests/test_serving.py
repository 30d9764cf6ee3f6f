"""Throughput with prompts in optimal-k: what prefill leaves of the speedup."""

import numpy as np
import polars as pl
import pytest

from montecarlo.errors import InputError
from tests.test_study import studied

GIVEN = {
    "target": "olmoe-1b-7b",
    "prices": "ideal",
    "routing": "uniform",
    "batch": "[4]",
    "draft_length": "[0, 2]",
    "context_tokens": "[2048]",
    "worlds": "4",
    "world_requests": "16",
}


def served(**keys: str) -> pl.DataFrame:
    return studied(**GIVEN, **keys)["results"]


def test_without_prompts_there_is_no_throughput() -> None:
    assert served()["throughput"].null_count() == 2


def test_prompts_of_one_token_cost_next_to_nothing() -> None:
    found = served(prompt_tokens="1", output_tokens="1000").to_dicts()
    for row in found:
        assert row["throughput_speedup"] == pytest.approx(row["speedup"], rel=5e-3)
        assert row["throughput"] == pytest.approx(row["tokens_per_second_device"], rel=5e-3)
        assert row["seconds_per_token"] == pytest.approx(row["step_seconds"] / row["tokens_per_step"], rel=5e-3)


@pytest.mark.parametrize("prefill", ["chunked", "disaggregated"])
def test_longer_prompts_leave_less_of_the_gain(prefill: str) -> None:
    gains = []
    for length in (500, 2000, 6000):
        found = served(prompt_tokens=str(length), output_tokens="200", prefill=prefill)
        gains.append(found.filter(draft_length=2)["throughput_speedup"].item())
        assert found.filter(draft_length=0)["throughput_speedup"].item() == 1.0
    assert gains[0] > gains[1] > gains[2] > 1  # a chunk may share its reads with wider windows: near speedup at first
    assert served()["speedup"][1] > gains[2]


def test_a_gain_of_steps_is_diluted_by_the_seconds_of_prefill() -> None:
    """1 / throughput = 1 / rate of steps + seconds of prefill per token, whatever the draft length."""
    found = served(prompt_tokens="2000", output_tokens="200", prefill="disaggregated")
    rate = found["tokens_per_second_device"] * 200 / 199  # the first token comes with the prefill
    spent = 1 / found["throughput"].to_numpy() - 1 / rate.to_numpy()
    np.testing.assert_allclose(spent[0], spent[1], rtol=1e-6)
    assert spent[0] > 0


def test_prompts_that_come_too_fast_have_no_steady_state() -> None:
    found = served(prompt_tokens="8000", output_tokens="4", prefill_tokens="512")
    assert found["throughput"].null_count() == 2
    assert found["speedup"].null_count() == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"prompt_tokens": "100"}, "need both prompt_tokens and output_tokens"),
        ({"prefill": "chunked"}, "need both prompt_tokens and output_tokens"),
    ],
)
def test_half_of_what_prompts_need_is_refused(keys: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        served(**keys)
