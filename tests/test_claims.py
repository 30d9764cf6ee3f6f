"""The claims: which hold, that a changed constant turns a verdict, and that predicates say what is checked."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from montecarlo.hardware import BYTES
from studies import claims
from studies.claims.claim import Claim, Inputs
from studies.columns import CLAIMS

PUBLISHED = Inputs.published()
# What does not hold: of the text, of the charts' assumptions, of the discussion.
REFUTED = {
    "b-text",
    "moe-fp4-batch-text",
    "upper-bound",
    "origin-slope",
    "r-to-1",
    "csa-shared",
    "one-axis",
    "batch-30000",
    "lm-head",
    "flat-drafter",
    "uniform-routing",
    "off-for-throughput",
    "increase-the-batch",
    "free-lunch",
    "rejected-free-dense",
    "long-sequences",
    "two-to-three",
}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, bool]:
    return {claim.id: claim.holds for claim in claims.claims()}


def test_every_claim_has_a_name_of_its_own_a_reason_and_a_number(verdicts: dict[str, bool]) -> None:
    every = claims.claims()
    assert len(verdicts) == len(every) > 120
    for claim in every:
        assert np.isfinite(claim.computed), claim.id
        assert claim.statement
        assert claim.quantity
        assert (claim.within is None) == bool(claim.side)


def test_the_post_s_own_figures_hold_and_what_does_not_is_known(verdicts: dict[str, bool]) -> None:
    assert {name for name, holds in verdicts.items() if not holds} == REFUTED


def test_the_frame_has_the_columns_and_the_verdicts(verdicts: dict[str, bool]) -> None:
    frame = claims.frame()
    assert dict(frame.schema) == CLAIMS
    assert dict(zip(frame["id"], frame["holds"], strict=True)) == verdicts
    assert set(frame["section"]) >= {"constants", "attention", "formulas", "audit", "discussion"}


def _constants(**changed: float) -> Callable[[Inputs], Inputs]:
    return lambda given: replace(given, constants=replace(given.constants, **changed))  # type: ignore[arg-type]


def _moe(**changed: int) -> Callable[[Inputs], Inputs]:
    def flip(given: Inputs) -> Inputs:
        ((count, moe),) = given.flash.ffn
        return replace(given, flash=replace(given.flash, ffn=((count, replace(moe, **changed)),)))  # type: ignore[arg-type]

    return flip


def _device(**changed: float) -> Callable[[Inputs], Inputs]:
    return lambda given: replace(given, device=replace(given.device, **changed))


def _independent(given: Inputs) -> Inputs:
    """As if neighbouring tokens shared nothing but chance."""
    windows = np.asarray(given.measured["windows"])
    distinct = 256 * (1 - (1 - 8 / 256) ** windows)
    return replace(given, measured=given.measured | {"distinct": distinct.tolist(), "popularity": [1.0] * 256})


FLIPS: list[tuple[str, Callable[[Inputs], Inputs]]] = [
    ("knee", _moe(top_k=8)),
    ("w-e", _moe(intermediate=1024)),
    ("hash-layers", _moe(hash_layers=0)),
    ("ridge-fp4", _device(fp4=10e15)),
    ("ridge-bf16", _device(bandwidth=7.7e12)),
    ("dense-fp4-knee", _constants(expert_bytes=0.5)),
    ("moe-fp4-batch", _constants(expert_bytes=0.5)),
    ("moe-fp4-batch-text", _constants(ridge_fp4=1193)),
    ("w-attn", _constants(attention_weights=108e6)),
    ("phi", _constants(pairs=65_536)),
    ("crossover", _constants(ridge_bf16=300)),
    ("hca-2", _constants(kv_bytes=512)),
    ("map-length-16", _constants(pairs=150_000)),
    ("map-speedup-128", _constants(expert_weights=20e6)),
    ("gutter-to", _constants(top_k=8)),
    ("ledger-43", _constants(shared=0)),
    ("r-1", _constants(shared=0)),
    ("origin-slope", _constants(shared=0)),
    ("r-to-1", _constants(shared=0)),
    ("over-count-flops-4096", _constants(layers=20)),
    ("mla-512-1", lambda given: replace(given, mla=replace(given.mla, heads=128))),
    ("mha-form", lambda given: replace(given, mla=replace(given.mla, nope=256))),
    ("gqa-intensity", lambda given: replace(given, dense=given.grouped)),
    ("one-axis", _independent),
    ("uniform-routing", _independent),
    ("small-batches-overlap", _independent),
    ("off-for-throughput", _device(bf16=1e13, fp8=1e13, fp4=1e13)),
    ("batch-30000", _device(memory=2e13)),
    ("free-lunch", _moe(experts=6)),
    ("two-to-three", _device(bf16=1e18, fp8=1e18, fp4=1e18)),
    ("rejected-free-dense", _device(bf16=1e18)),
]


@pytest.mark.parametrize(("name", "flip"), FLIPS, ids=[name for name, _ in FLIPS])
def test_a_changed_constant_turns_the_verdict(name: str, flip: Callable[[Inputs], Inputs]) -> None:
    from studies.claims import attention, audit, charts, constants, discussion

    def verdict(given: Inputs) -> bool:
        for chapter in (constants, attention, charts, audit, discussion):
            for claim in chapter.claims(given):
                if claim.id == name:
                    return claim.holds
        raise KeyError(name)

    assert verdict(flip(PUBLISHED)) is not verdict(PUBLISHED)


def test_predicates() -> None:
    def claim(**keys: object) -> Claim:
        return Claim(id="", section="", statement="", quantity="", **keys)  # type: ignore[arg-type]

    exact = claim(computed=576.0, claimed=576, within=0)
    assert (exact.holds, exact.predicate) == (True, "computed = 576")
    assert not claim(computed=576.1, claimed=576, within=0).holds
    near = claim(computed=10_945.0, claimed=10_950, within=0.005)
    assert (near.holds, near.predicate) == (True, "computed within 0.5 % of 10950")
    assert not claim(computed=10_326.0, claimed=10_950, within=0.005).holds
    for side, holds in (("<", False), ("<=", True), (">", False), (">=", True)):
        assert claim(computed=2.0, side=side, bound=2).holds is holds
    assert claim(computed=2.0, side="<=", bound=4).predicate == "computed <= 4"
    assert not claim(computed=float("nan"), claimed=1, within=0.5).holds


def test_mxfp4_is_a_byte_count_with_its_scale() -> None:
    """4 bits and 8 bits per 32: what the charts' 0.53 stands for."""
    assert BYTES["mxfp4"] == (4 + 8 / 32) / 8
