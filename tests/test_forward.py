"""Times of a serving benchmark: against a count by hand, prompts pay the same whatever the draft length."""

from dataclasses import replace

import numpy as np
import pytest

from montecarlo import closed
from montecarlo.achieved import Achieved
from montecarlo.drafter import Block, Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.terms import Terms
from studies import catalog, drafters, forward
from studies.forward import Deployment, Load

OSS, H200 = catalog.target("gpt-oss-120b"), catalog.hardware("h200-sxm")
GIVEN = Deployment(OSS, H200, Eagle3.of(OSS), forward.overlap("qwen3.6-35b-a3b", OSS))
TERMS = Terms.of(bandwidth=0.8, peak_bf16=0.6, step_seconds=1e-3, pass_seconds=3e-4, largest_captured=512)


def load(**given: object) -> Load:
    rows = {"sequences": 32.0, "draft_length": 0.0, "tokens_per_step": 1.0, "prompt": 4000.0, "output": 500.0} | given
    arrays = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in rows.values()))
    return Load(*(np.atleast_1d(array) for array in arrays))


def test_a_step_is_that_of_the_closed_form_in_every_world() -> None:
    worlds = [TERMS, replace(TERMS, bandwidth=0.5)]
    found = forward.times(GIVEN, load(sequences=[8, 32], draft_length=[0, 3], tokens_per_step=[1, 2]), worlds)
    for w, terms in enumerate(worlds):
        prices = Achieved(OSS, H200, GIVEN.drafter, terms)
        for row, (batch, length) in enumerate(((8, 0), (32, 3))):
            grid = closed.grid(prices, GIVEN.overlap, [batch], [4250], [length])
            assert found.step[w, row] == pytest.approx(float(grid.step[0, 0, 0]), rel=1e-12)


def test_prompts_share_the_steps_as_conservation_says() -> None:
    """The extra seconds of a chunk are those of one prompt: 32 x 2 / 500 requests begin in a step of 2 tokens."""
    here = load(draft_length=3, tokens_per_step=2.0)
    found, bare = (forward.times(GIVEN, each, [TERMS]) for each in (here, replace(here, prompt=here.prompt * np.nan)))
    step, token, rate = (float(array[0, 0]) for array in (found.step, found.token, found.rate))
    extra = (token - step / 2) * 500 / 32  # seconds of a prompt, in one chunk of 4,000
    weights = 36 * 3 * 2880**2 * (4 * 2 * 4000) / 989.5e12
    assert weights < extra < 4 * weights  # about the arithmetic of 4,000 tokens through the experts
    assert rate == pytest.approx(32 * 500 / (step + extra + 500 * token), rel=1e-12)
    assert bare.rate[0, 0] == pytest.approx(32 * 2 / bare.step[0, 0], rel=1e-12)
    assert bare.token[0, 0] == pytest.approx(bare.step[0, 0] / 2, rel=1e-12)


def test_what_steps_gain_shrinks_in_throughput_and_most_where_prompts_are_long() -> None:
    gains = []
    for prompt in (1.0, 4000.0, 8000.0):
        drafted = load(draft_length=3, tokens_per_step=2.5, prompt=prompt)
        after, before = (forward.times(GIVEN, each, [TERMS]) for each in (drafted, load(prompt=prompt)))
        steps = float(2.5 * before.step[0, 0] / after.step[0, 0])
        gains.append((steps, float(after.rate[0, 0] / before.rate[0, 0])))
    assert gains[0][0] == pytest.approx(gains[0][1], rel=0.02)
    assert all(1 < rate < steps for steps, rate in gains[1:])
    assert gains[2][1] < gains[1][1]


def test_a_prompt_longer_than_a_step_has_room_for_takes_several() -> None:
    """Two halves cost what two prompts of half the length cost, but for the context they see."""
    terms = [replace(TERMS, largest_captured=None)]
    plain = load(sequences=1.0, prompt=[8191.0, 16382.0], output=1e6)
    found = forward.times(GIVEN, plain, terms)
    prompts = (found.token - found.step)[0] * 1e6
    assert 2 < prompts[1] / prompts[0] < 2.4


def test_devices_are_one_device_of_all_of_them() -> None:
    two = forward.together(H200, 2)
    assert (two.bandwidth, two.bf16, two.memory) == (2 * H200.bandwidth, 2 * H200.bf16, 2 * H200.memory)
    bare = [Terms.of()]
    one = forward.times(replace(GIVEN, hardware=two), load(), bare)
    np.testing.assert_allclose(one.token * 2, forward.times(GIVEN, load(), bare).token, rtol=1e-12)


def test_drafters_and_overlaps_by_name() -> None:
    assert drafters.drafter("block:3x7", OSS) == Block.of(OSS, layers=3, block=7)
    assert drafters.drafter("fraction:0.1", OSS) == Flat.of(fraction=0.1)
    assert drafters.drafter("free", OSS) == Flat.of(fraction=0)
    assert forward.overlap("uniform", catalog.target("llama-3-8b")) is None
    assert float(forward.overlap("uniform", OSS).distinct(1, 1)) == pytest.approx(4)  # type: ignore[union-attr]
    for wrong in ("eagle", "block:3", "block:0x7", "fraction:x"):
        with pytest.raises(InputError, match=wrong.partition(":")[0]):
            drafters.drafter(wrong, OSS)
    for wrong in ("gpt-oss-20b", "nothing"):
        with pytest.raises(InputError, match=r"uniform, qwen3\.6-35b-a3b"):
            forward.overlap(wrong, OSS)
