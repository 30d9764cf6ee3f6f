"""Calibration of the experts' kernel: who gets which expert, known terms come back, measured shapes left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from montecarlo.errors import InputError
from studies import catalog, kernels, prices

H200 = catalog.hardware("h200-sxm")
HEADER = "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency\n"
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


def seconds(stored: float, peak: float, shape: tuple[int, int, int, int], tokens: int) -> float:
    """A kernel by hand: 80 % of the bandwidth, half of the peak, 20 us, states written and read once, all hidden."""
    hidden, intermediate, top_k, experts = shape
    weights, rows = 3 * hidden * intermediate, tokens * top_k
    distinct = min(rows, experts)  # balanced, and top_k divides the experts of these shapes
    longer = max(distinct * weights * stored / (0.8 * 4.8e12), 2 * rows * weights / (0.5 * peak))
    return 20e-6 + longer + 2 * 2 * rows * (2 * hidden + 3 * intermediate) / (0.8 * 4.8e12)


def table(path: Path) -> Path:
    precisions = {"bfloat16": (2.0, 989.5e12), "fp8": (1.0, 1979e12), "w4a16_mxfp4": (17 / 32, 989.5e12)}
    lines = []
    for name, (stored, peak) in precisions.items():
        for shape in ((2048, 768, 8, 128), (4096, 14336, 2, 8), (2880, 2880, 4, 32)):
            for tokens in TOKENS:
                hidden, intermediate, top_k, experts = shape
                spent = seconds(stored, peak, shape, tokens) * 1e3
                lines.append(f"{name},{tokens},{hidden},{intermediate},{top_k},{experts},1,1,balanced,{spent}\n")
    path.write_text(HEADER + "".join(lines))
    return path


def test_balanced_rows_are_those_of_the_collector() -> None:
    """128 experts, 8 of them a token, stride 16: written out for one, two and many tokens."""
    assert np.flatnonzero(kernels.balanced(1, 128, 8)).tolist() == list(range(0, 128, 16))
    assert np.flatnonzero(kernels.balanced(2, 128, 8)).tolist() == list(range(0, 128, 8))
    for tokens, distinct in ((3, 24), (8, 64), (16, 128), (48, 128)):
        rows = kernels.balanced(tokens, 128, 8)
        assert ((rows > 0).sum(), rows.sum()) == (distinct, tokens * 8)
    assert kernels.balanced(48, 128, 8).tolist() == [3] * 128
    assert kernels.balanced(17, 8, 2).tolist() == [5, 4, 4, 4, 5, 4, 4, 4]


@pytest.mark.parametrize(("tokens", "experts", "top_k"), [(1, 8, 2), (4, 128, 8), (48, 128, 8), (512, 8, 2)])
def test_power_law_rows_add_up_and_a_token_counts_once(tokens: int, experts: int, top_k: int) -> None:
    rows = kernels.power_law(tokens, experts, top_k, 1.2, np.random.default_rng(0))
    assert (rows.sum(), rows.min() >= 0, rows.max() <= tokens) == (tokens * top_k, True, True)
    if tokens == 512:
        assert rows.max() > 2 * rows.mean()  # it is skewed


def test_known_terms_come_back(tmp_path: Path) -> None:
    """From a table made by hand; what the data do not fix (a peak never reached) stays near its prior."""
    shapes = kernels.read(table(tmp_path / "table.csv"))
    assert [len(shape.seconds) for shape in shapes] == [len(TOKENS)] * 9
    found = kernels.fit(shapes, H200)
    spread = np.sqrt(np.diag(found.covariance))
    truth = {"expert_activations": 2.0, "expert_bandwidth": 0.8, "moe_layer_seconds": 20e-6, "peak_bf16": 0.5}
    for index, (name, shared) in enumerate(kernels.PARAMETERS):
        if name in truth and shared != ("fp8_block",):
            off = found.values[index] - prices.link(name, truth[name])
            assert abs(off) < 0.25, (name, found.number(index))
            assert spread[index] < 0.5
    for shape in shapes:
        # At the ridge the prior of `unhidden`, which is never 0, shows.
        np.testing.assert_allclose(found.predict(shape), shape.seconds, rtol=0.06)
    held = next(i for i, (name, _) in enumerate(kernels.PARAMETERS) if name == kernels.HELD)
    assert found.number(held) == pytest.approx(1e-7, rel=1e-3)


def test_a_straggler_planted_in_a_shape_comes_back(tmp_path: Path) -> None:
    shapes = kernels.read(table(tmp_path / "table.csv"))
    found = kernels.fit(shapes, H200)
    shape = next(one for one in shapes if one.precision == "bfloat16" and one.experts == 128)
    planted = replace(shape, seconds=found.predict(shape, 0.012))
    assert kernels.straggler([planted, planted], found) == pytest.approx(0.012, rel=1e-3)


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        kernels.read(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"cannot be read: .*distribution"):
        kernels.read(tmp_path / "other.csv")
    (tmp_path / "odd.csv").write_text(HEADER + "int3,1,64,64,2,8,1,1,balanced,0.1\n")
    with pytest.raises(InputError, match="has the precisions int3; allowed: bfloat16"):
        kernels.read(tmp_path / "odd.csv")
    with pytest.raises(InputError, match="has no rows that are uniform"):
        kernels.read(table(tmp_path / "table.csv"), "uniform")


def test_measured_shapes_left_out_are_met_and_the_shipped_constants_are_those_of_the_fit(data: Path) -> None:
    """H200, rows where the ideal roofline is memory-bound: medians of 5 % in bf16 and fp8, 10 % in MXFP4."""
    shapes = [s for s in kernels.read(data / "published" / "moe_kernel_latency_h200.csv") if s.ranks == 1]
    assert len(shapes) == 9
    for shape, errors in kernels.left_out(shapes, H200):
        missed = np.median(np.abs(errors[shape.memory_bound(H200)]))
        assert missed < (0.10 if shape.precision == "w4a16_mxfp4" else 0.05), (shape.model, missed)
    found = kernels.fit(shapes, H200)
    for where in prices.shipped().where:
        assert where.joint is not None
        assert where.experts is not None
        again = kernels.section(found, "h200-sxm", where.experts).joint
        assert again is not None
        assert (again.terms, again.median) == (where.joint.terms, pytest.approx(where.joint.median, rel=0.01))
        np.testing.assert_allclose(again.covariance, where.joint.covariance, atol=5e-4)
