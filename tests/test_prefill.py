"""Prefill: a chunk against a count by hand, the steady state against a step-by-step simulation, and limits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montecarlo.achieved import Achieved
from montecarlo.attention import Attention
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.errors import InputError
from montecarlo.ffn import Dense
from montecarlo.hardware import Hardware
from montecarlo.prefill import Traffic, chunked, decoding, disaggregated, mixed_seconds, prefill_seconds, served
from montecarlo.target import Target
from montecarlo.terms import Terms
from studies import catalog
from tests.slow_serving import serve

H200 = catalog.hardware("h200-sxm")
FREE = Flat.of(fraction=0.0)


def step(x):
    """Seconds of a step with x prefill tokens: 10 ms, 2 ms more once there are any, 3 us for each."""
    return 0.01 + 0.002 * (np.asarray(x) > 0) + 3e-6 * np.asarray(x)


@pytest.mark.parametrize("name", ["gpt-oss-120b", "deepseek-v3", "deepseek-v4-flash", "qwen3.6-35b-a3b", "llama-3-8b"])
@pytest.mark.parametrize("terms", [Terms(), Terms.of(step_seconds=1e-3, kv_reads=0.2, largest_captured=512)])
def test_without_a_chunk_it_is_the_verify(name: str, terms: Terms) -> None:
    prices = Achieved(catalog.target(name), H200, FREE, terms)
    verify = prices.other_seconds(8, 3, 5000) + prices.moe_layers * prices.moe_seconds(32, 20)
    assert mixed_seconds(prices, 8, 3, 5000, 0, 0, 20) == pytest.approx(float(verify), rel=1e-12)
    assert mixed_seconds(prices, 8, 3, 5000, 700, 100, 20) > verify


@pytest.mark.parametrize(("batch", "length", "chunk", "seen"), [(0, 0, 512, 0), (8, 3, 512, 2048), (64, 1, 37, 0)])
def test_a_chunk_equals_a_count_by_hand(batch: int, length: int, chunk: int, seen: int) -> None:
    """One full and one sliding layer of gpt-oss's widths; every prompt token's keys counted one by one."""
    kinds = tuple((1, Attention.of(heads=64, kv_heads=8, head_dim=64, window=window)) for window in (0, 128))
    dense = ((2, Dense.of(intermediate=2880)),)
    target = Target.of(hidden=2880, vocabulary=201_088, attention=kinds, ffn=dense)
    tokens = batch * (length + 1) + chunk

    def kernel(flops: float, moved: float) -> float:
        return max(flops / 989.5e12, moved / 4.8e12)

    def matrix(rows: int, parameters: int) -> float:
        return kernel(2 * rows * parameters, 2 * parameters)

    total = 2 * matrix(tokens, 2 * 2880 * 64 * 64 + 2 * 2880 * 8 * 64) + 2 * matrix(tokens, 3 * 2880 * 2880)
    total += matrix(batch * (length + 1) + 1, 2880 * 201_088)
    key, context = 2 * 8 * 64 * 2, 3000
    total += kernel(4 * 64 * 64 * batch * (length + 1) * context, batch * context * key)
    total += kernel(4 * 64 * 64 * batch * (length + 1) * 128, batch * 128 * key)
    pairs = sum(seen + place + 1 for place in range(chunk))
    total += kernel(4 * 64 * 64 * pairs, (seen + chunk + chunk) * key)
    at_mean = chunk * min(seen + (chunk + 1) / 2, 128)  # a window is taken at the mean context
    read, written = min(seen + chunk, 128), min(seen + chunk, 128) - min(seen, 128)
    total += kernel(4 * 64 * 64 * at_mean, (read + written) * key)
    found = mixed_seconds(Ideal(target, H200, FREE), batch, length, context, chunk, seen, 0)
    assert found == pytest.approx(total, rel=1e-12)


@given(prompt=st.integers(1, 20_000), budget=st.integers(16, 8192), more=st.integers(2, 4))
def test_a_smaller_budget_never_prefills_faster_and_arithmetic_does_not_depend_on_it(prompt, budget, more) -> None:
    for name in ("llama-3-8b", "deepseek-v3", "gpt-oss-120b"):
        prices = Ideal(catalog.target(name), H200, FREE)
        assert prefill_seconds(prices, prompt, budget, 128) * (1 + 1e-9) >= prefill_seconds(
            prices, prompt, budget * more, 128
        )
    reads_nothing = Hardware.of(bf16=1e15, fp8=None, fp4=None, bandwidth=1e40, memory=1e12)
    target = catalog.target("llama-3-8b")
    counts = Ideal(replace(target, vocabulary=1), reads_nothing, FREE)
    whole = prefill_seconds(counts, prompt, prompt, 0)
    assert prefill_seconds(counts, prompt, budget, 0) == pytest.approx(whole, rel=1e-6)


CASES = [
    (64, [2000], [200, 400, 600], [0], 2048),
    (64, [7200], [900], [0], 8192),
    (128, [500, 1500], [300], [0, 1, 2], 4096),
    (128, [7200], [900], [0, 1, 2], 8192),
    (16, [20_000], [500, 1000], [0], 4096),
    (200, [4000], [400], [0], 2048),  # 97 % of the budget
]


@pytest.mark.parametrize(("clients", "prompts", "outputs", "accepted", "budget"), CASES)
def test_the_steady_state_is_that_of_a_simulation(clients, prompts, outputs, accepted, budget) -> None:
    """Means over 6,000 steps: who decodes, throughput, seconds of a step within 2 %, share of steps within .04."""
    slow = serve(clients, prompts, outputs, accepted, budget, lambda x: float(step(x)), 6000)
    emitted = 1 + float(np.mean(accepted))
    traffic = Traffic.of(prompts=prompts, output=float(np.mean(outputs)), tokens_per_step=emitted)
    batch = decoding(traffic, clients, budget)
    assert batch == pytest.approx(slow.decoding, rel=0.02)
    found = chunked(traffic, batch, budget, step)
    assert found.step_seconds == pytest.approx(slow.step_seconds, rel=0.02)
    assert found.tokens_per_second == pytest.approx(slow.tokens_per_second, rel=0.02)
    assert found.prefill_share == pytest.approx(slow.prefill_share, abs=0.04)
    assert found.median_step_seconds == pytest.approx(slow.median_step_seconds, rel=0.02)
    assert found.seconds_per_token == pytest.approx(found.step_seconds / emitted)


@given(
    budgets=st.lists(st.floats(0.01, 8), min_size=1, max_size=5),
    output=st.floats(50, 2000),
    emitted=st.floats(1, 4),
    load=st.floats(0.01, 0.8),
    budget=st.integers(256, 16_384),
)
def test_prompts_are_prefilled_as_fast_as_requests_finish(budgets, output, emitted, load, budget) -> None:
    """Conservation: B / n requests finish in a step, so B P / n prompt tokens are served, whatever the waiting."""
    prompts = np.maximum(np.array(budgets) * budget, 1)
    traffic = Traffic.of(prompts=prompts, output=output, tokens_per_step=emitted)
    batch = load * budget * traffic.steps / float(np.mean(prompts))
    tokens, shares = served(traffic, batch, budget)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert tokens @ shares == pytest.approx(load * budget, rel=1e-3)
    assert tokens[-1] == pytest.approx(budget)


def test_a_gain_in_steps_shrinks_in_throughput_by_the_prefill_of_a_request() -> None:
    """Steps 1.4 times as long that emit 2 tokens: 1.43 times as fast; with G of prefill per request, less.

    Where seconds are affine in prefill tokens, a request takes n s(0) / B + G of the device, exactly.
    """
    prompt, output, batch, budget = 7200, 901, 100, 8192

    def seconds(base: float):
        return lambda x: base + 2e-6 * np.asarray(x)

    plain = Traffic.of(prompts=[prompt], output=output)
    drafted = replace(plain, tokens_per_step=2.0)
    one, two = chunked(plain, batch, budget, seconds(0.02)), chunked(drafted, batch, budget, seconds(0.028))
    gain = two.tokens_per_second / one.tokens_per_second
    work = prompt * 2e-6
    assert gain == pytest.approx((900 * 0.02 / batch + work) / (450 * 0.028 / batch + work), rel=1e-3)
    assert 1.35 < gain < 1.41
    assert gain < one.median_step_seconds / two.median_step_seconds * 2 == pytest.approx(2 * 0.02 / 0.028)
    apart = [disaggregated(t, batch, s, work) for t, s in ((plain, 0.02), (drafted, 0.028))]
    assert apart[1].seconds_per_token == pytest.approx(0.014)
    assert apart[0].seconds_per_token / apart[1].seconds_per_token == pytest.approx(2 * 0.02 / 0.028)
    # Per device it is the same bill: devices that prefill are paid for too.
    assert apart[1].tokens_per_second / apart[0].tokens_per_second == pytest.approx(gain, rel=1e-3)
    assert apart[0].tokens_per_second == pytest.approx(output / (900 * 0.02 / batch + work))


def test_longer_prompts_cost_throughput_and_a_budget_trades_pauses_for_more_of_them() -> None:
    short, long = (Traffic.of(prompts=[p], output=300) for p in (500, 4000))
    for budget in (2048, 8192):
        assert chunked(long, 50, budget, step).tokens_per_second < chunked(short, 50, budget, step).tokens_per_second
    small, large = (chunked(long, 50, budget, step) for budget in (2048, 8192))
    assert small.prefill_share > large.prefill_share
    none = chunked(Traffic.of(prompts=[1], output=300), 1e-6, 8192, step)
    assert none.step_seconds == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Traffic.of(prompts=[0], output=10), "prompts must be lengths of at least 1 token"),
        (lambda: Traffic.of(prompts=[], output=10), "prompts must be lengths"),
        (lambda: Traffic.of(prompts=[5], output=1), "output is 1 tokens; it must be above 1"),
        (lambda: Traffic.of(prompts=[5], output=9, tokens_per_step=0.5), "tokens_per_step is 0.5"),
        (lambda: served(Traffic.of(prompts=[4000], output=101), 60, 2048), "60 sequences bring 2,400 prompt tokens"),
        (lambda: served(Traffic.of(prompts=[300_000], output=10_001), 6.7, 256), "pile up too long to be followed"),
    ],
)
def test_what_cannot_be_is_refused(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
