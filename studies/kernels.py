"""Calibrate the terms of the experts' kernel on a table of measured grouped products, and test it on shapes left out.

    seconds(shape, rows, distinct) = moe_seconds of montecarlo/achieved.py [+ held_seconds x experts held]

with one `unhidden` and `expert_activations` for all, `expert_bandwidth` and `moe_layer_seconds` for bf16 and fp8
together and for 4-bit weights widened in the kernel, a share of the peak for each precision. fp8 scaled by blocks
takes time for every expert held, touched or not, so it has `held_seconds`.

The estimate is the mode of the posterior: the published priors (studies/prices/achieved.toml) and log errors of ERROR,
of which only EFFECTIVE in a shape are taken as independent, since the 25 rows of a shape err together. Its spread
is that of the Gaussian around the mode.

Table: columns of ai-dynamo/aiconfigurator's MoE tables (moe_dtype, num_tokens, hidden_size, inter_size, topk,
num_experts, moe_ep_size, distribution, latency [ms]); who gets which expert follows its collector/helper.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize_scalar

from montecarlo.achieved import Achieved
from montecarlo.attention import Attention
from montecarlo.drafter import Flat
from montecarlo.errors import InputError
from montecarlo.ffn import MoE
from montecarlo.hardware import Hardware
from montecarlo.target import Target
from montecarlo.terms import Terms
from studies.prices import EDGE, Joint, Where, link, shipped, unlink

Floats = NDArray[np.float64]

ERROR, EFFECTIVE = 0.05, 6.0
STORED = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8", "w4a16_mxfp4": "mxfp4"}
WIDE, WIDENED = ("bfloat16", "fp8", "fp8_block"), ("w4a16_mxfp4",)
HELD = "held_seconds"
# Each estimated number: the term, and the precisions of the table that share it.
PARAMETERS = (
    ("unhidden", WIDE + WIDENED),
    ("expert_activations", WIDE + WIDENED),
    ("expert_bandwidth", WIDE),
    ("moe_layer_seconds", WIDE),
    ("peak_bf16", ("bfloat16",)),
    ("peak_fp8", ("fp8",)),
    ("peak_fp8", ("fp8_block",)),
    (HELD, ("fp8_block",)),
    ("expert_bandwidth", WIDENED),
    ("moe_layer_seconds", WIDENED),
    ("peak_widened", WIDENED),
)
# Spread between kernels of one engine and those of another, added to the posterior (sd of the log or logit; assumed).
ENGINES = {"moe_layer_seconds": 0.5}  # one library has 26 and 58 us, by precision
OTHERS = 0.3
# A share of the peak is not told apart from states by rows that are mostly memory-bound: it keeps its prior.
LEFT = ("peak_bf16", "peak_fp8", HELD)
HELD_PRIOR = (2e-8, 1e-7, 5e-7)  # quantiles [s per expert held]: a few hundred clock cycles each


@dataclass(frozen=True)
class Shape:
    """Rows of one shape: `rows` (tokens x top_k on this rank), `distinct` experts and `seconds`, by `tokens`."""

    precision: str
    hidden: int
    intermediate: int
    top_k: int
    experts: int
    ranks: int
    tokens: Floats
    rows: Floats
    distinct: Floats
    seconds: Floats

    @property
    def model(self) -> tuple[str, int, int, int]:
        """What is left out together: precision and sizes, whatever the number of ranks."""
        return self.precision, self.hidden, self.intermediate, self.experts

    def target(self) -> Target:
        """One layer of this shape."""
        moe = MoE.of(experts=self.experts, top_k=self.top_k, intermediate=self.intermediate)
        attention = Attention.of(heads=1, kv_heads=1, head_dim=1)
        stored = STORED[self.precision]
        return Target.of(
            hidden=self.hidden, vocabulary=1, attention=((1, attention),), ffn=((1, moe),), expert_format=stored
        )

    def memory_bound(self, hardware: Hardware) -> NDArray[np.bool_]:
        """Where the ideal roofline of the experts is memory-bound, at peak bandwidth and arithmetic."""
        kernel = Achieved(self.target(), hardware, Flat.of(fraction=0.0)).experts(self.rows / self.top_k, self.distinct)
        assert kernel is not None
        return np.asarray(kernel.work.bytes) / hardware.bandwidth > np.asarray(kernel.work.flops) / kernel.peak


def balanced(tokens: int, experts: int, top_k: int) -> NDArray[np.int64]:
    """Rows of each expert [experts]: slot j of token i goes to i + j stride, spread evenly where tokens are few."""
    stride = -(-experts // top_k)
    token, slot = np.arange(tokens)[:, None], np.arange(top_k)[None, :]
    first = token if tokens >= stride else token * stride / tokens
    return np.bincount(((first + slot * stride) % experts).astype(np.int64).ravel(), minlength=experts)


def power_law(tokens: int, experts: int, top_k: int, alpha: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Rows of each expert [experts], as the collector's current version draws them (the table does not say which did).

    Expected rows have density x^-alpha between 1 and 0.8 tokens, or between .01 and 2 where rows are fewer than
    experts; they are scaled to tokens x top_k and rounded, at most one a token; what is over or missing goes to the
    busiest, in turn.
    """
    low, high = (1.0, 0.8 * tokens) if tokens * top_k > experts else (0.01, 2.0)
    power = 1.0 - alpha
    weights = ((high**power - low**power) * random.random(experts) + low**power) ** (1 / power)
    rows = np.minimum(np.round(weights / weights.sum() * tokens * top_k).astype(np.int64), tokens)
    busiest = np.argsort(-rows, kind="stable")
    while over := int(rows.sum()) - tokens * top_k:
        able = busiest[rows[busiest] > 0] if over > 0 else busiest[rows[busiest] < tokens]
        rows[able[: abs(over)]] -= np.sign(over)
    return rows


def read(
    path: Path, distribution: str = "balanced", rows_of: Callable[..., NDArray[np.int64]] = balanced
) -> list[Shape]:
    """The shapes of a table whose rows were drawn as `distribution` says; raises InputError for another table."""
    try:
        table = pl.read_csv(path)
        chosen = table.filter(pl.col("distribution") == distribution)
        keys = ["moe_dtype", "hidden_size", "inter_size", "topk", "num_experts", "moe_ep_size"]
        groups = list(chosen.group_by(keys, maintain_order=True))
        unknown = sorted(set(table["moe_dtype"]) - set(STORED))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"kernel table {path} cannot be read: {error}".splitlines()[0]) from error
    if unknown or not groups:
        wrong = f"has the precisions {', '.join(unknown)}" if unknown else f"has no rows that are {distribution}"
        raise InputError(f"kernel table {path} {wrong}; allowed: {', '.join(STORED)}")
    return [_shape(key, group, rows_of) for key, group in groups]


def _shape(key: Sequence[object], group: pl.DataFrame, rows_of: Callable[..., NDArray[np.int64]]) -> Shape:
    precision, (hidden, intermediate, top_k, experts, ranks) = str(key[0]), (int(str(size)) for size in key[1:])
    tokens = group["num_tokens"].to_numpy()
    here = [rows_of(int(n), experts, top_k)[: experts // ranks] for n in tokens]
    rows, distinct = (np.array(count, np.float64) for count in ([r.sum() for r in here], [(r > 0).sum() for r in here]))
    seconds = group["latency"].to_numpy() * 1e-3
    return Shape(
        precision, hidden, intermediate, top_k, experts, ranks, tokens.astype(np.float64), rows, distinct, seconds
    )


@dataclass(frozen=True)
class Fit:
    """Estimates on the link scale (log, or logit of shares and parts), in the order of PARAMETERS, and covariance."""

    values: Floats
    covariance: Floats
    hardware: Hardware

    def number(self, index: int) -> float:
        """Estimate `index` in its own unit."""
        return unlink(PARAMETERS[index][0], self.values[index])

    def predict(self, shape: Shape, straggler: float = 0.0) -> Floats:
        """Seconds of the rows of a shape, of a `straggler` where they are uneven."""
        return _predicted(self.values, shape, self.hardware, straggler)


def _predicted(values: Floats, shape: Shape, hardware: Hardware, straggler: float = 0.0) -> Floats:
    given: dict[str, Any] = {"straggler": straggler} | {
        name: unlink(name, value)
        for (name, shared), value in zip(PARAMETERS, values, strict=True)
        if shape.precision in shared
    }
    held = given.pop(HELD, 0.0) * (shape.experts // shape.ranks)
    prices = Achieved(shape.target(), hardware, Flat.of(fraction=0.0), Terms.of(**given))
    return prices.moe_seconds(shape.rows / shape.top_k, shape.distinct) + held


def _prior() -> tuple[Floats, Floats]:
    """Means and standard deviations on the link scale of the published priors."""
    given = [HELD_PRIOR if name == HELD else shipped().terms[name].quantiles for name, _ in PARAMETERS]
    on_link = [link(name, np.asarray(q)) for (name, _), q in zip(PARAMETERS, given, strict=True)]
    return np.array([q[1] for q in on_link]), np.array([(q[2] - q[0]) / (2 * EDGE) for q in on_link])


def fit(shapes: Sequence[Shape], hardware: Hardware) -> Fit:
    """The posterior mode and its spread from measured shapes (of one rank: more leave a device under-filled)."""
    mean, spread = _prior()

    def residuals(values: Floats) -> Floats:
        errors = [
            np.log(_predicted(values, shape, hardware) / shape.seconds)
            / ERROR
            * np.sqrt(EFFECTIVE / len(shape.seconds))
            for shape in shapes
        ]
        return np.concatenate([*errors, (values - mean) / spread])

    found = least_squares(residuals, mean)
    return Fit(found.x, np.linalg.inv(found.jac.T @ found.jac), hardware)


def left_out(shapes: Sequence[Shape], hardware: Hardware) -> list[tuple[Shape, Floats]]:
    """For every shape: relative errors of its rows as predicted by the fit to all shapes of other models."""
    single = [shape for shape in shapes if shape.ranks == 1]
    fits = {model: fit([one for one in single if one.model != model], hardware) for model in {s.model for s in shapes}}
    return [(shape, fits[shape.model].predict(shape) / shape.seconds - 1) for shape in shapes]


def straggler(draws: Sequence[Shape], found: Fit) -> float:
    """The straggler of one shape measured under uneven load, given `draws` of who was busy (the same shape each).

    Least squares of the log errors of the mean over draws, over rows that are memory-bound and twice the experts or
    more: with fewer, what is not known of the sampling is how many experts were touched, not how busy they were.
    """
    measured = draws[0]
    chosen = measured.memory_bound(found.hardware) & (measured.rows >= 2 * measured.experts)

    def errors(log_straggler: float) -> float:
        mean = np.mean([found.predict(draw, float(np.exp(log_straggler))) for draw in draws], axis=0)
        return float(np.sum(np.log(mean / measured.seconds)[chosen] ** 2))

    return float(np.exp(minimize_scalar(errors, bounds=np.log((1e-5, 0.5)), method="bounded").x))


def section(found: Fit, hardware: str, experts: list[str]) -> Where:
    """The posterior of the terms for `experts` of these formats, as a section of a prices file.

    Engines have kernels of their own: ENGINES is added to the variances.
    """
    chosen = [
        index
        for index, (name, shared) in enumerate(PARAMETERS)
        if name not in LEFT and any(STORED[precision] in experts for precision in shared)
    ]
    names = [PARAMETERS[index][0] for index in chosen]
    between = np.diag([ENGINES.get(name, OTHERS) ** 2 for name in names])
    covariance = np.round(found.covariance[np.ix_(chosen, chosen)] + between, 4)
    medians = [float(f"{found.number(index):.3g}") for index in chosen]
    return Where(
        hardware=[hardware], experts=experts, joint=Joint(terms=names, median=medians, covariance=covariance.tolist())
    )
