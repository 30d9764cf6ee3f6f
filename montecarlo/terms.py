"""The terms that rooflines leave out, as numbers: one of each, or one per world.

Neutral values make `montecarlo/achieved.py` the roofline. Shares of peak and bandwidth are in (0, 1], parts in
[0, 1], times and seconds 0 or more; docs/prices.md has the formula, the prior and the source of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from montecarlo.errors import InputError
from montecarlo.roofline import Scalar

SHARES = ("bandwidth", "expert_bandwidth", "peak_bf16", "peak_fp8", "peak_fp4", "peak_widened")
PARTS = ("unhidden", "kv_reads", "straggler")
TIMES = ("activations", "expert_activations")
SECONDS = (
    "step_seconds",
    "sequence_seconds",
    "drafted_step_seconds",
    "layer_seconds",
    "moe_layer_seconds",
    "pass_seconds",
    "eager_layer_seconds",
)
NAMES = (*SHARES, *PARTS, *TIMES, *SECONDS)


@dataclass(frozen=True)
class Terms:
    """What is achieved of a device, and what an engine adds.

    Of the device: `bandwidth` of dense layers, attention and drafter, `expert_bandwidth` of experts; `peak_bf16`,
    `peak_fp8`, `peak_fp4`, and `peak_widened` of 4-bit weights widened to bf16 in the kernel. Of the kernels:
    `unhidden` (roofline.seconds) of experts; `straggler`, how many times the weights of an expert are read again for
    each of its rows after the first, the mean over busy and idle experts; `kv_reads`, 0 where KV is read once per
    step, 1 where once per query token; `activations`, how many times each state that goes in or out of a matrix
    product crosses memory (2: written once and read once), `expert_activations` those of experts.

    Seconds per step: `step_seconds`; `sequence_seconds` for each sequence; `drafted_step_seconds` more where there
    are drafts; `layer_seconds` for each layer, `moe_layer_seconds` for each MoE layer; `pass_seconds` for each pass
    of the drafter; `eager_layer_seconds` for each layer of a step of more tokens than `largest_captured`, the largest
    CUDA graph (None: no graphs, no padding, nothing eager).
    """

    bandwidth: Scalar = 1.0
    expert_bandwidth: Scalar = 1.0
    peak_bf16: Scalar = 1.0
    peak_fp8: Scalar = 1.0
    peak_fp4: Scalar = 1.0
    peak_widened: Scalar = 1.0
    unhidden: Scalar = 0.0
    kv_reads: Scalar = 0.0
    straggler: Scalar = 0.0
    activations: Scalar = 0.0
    expert_activations: Scalar = 0.0
    step_seconds: Scalar = 0.0
    sequence_seconds: Scalar = 0.0
    drafted_step_seconds: Scalar = 0.0
    layer_seconds: Scalar = 0.0
    moe_layer_seconds: Scalar = 0.0
    pass_seconds: Scalar = 0.0
    eager_layer_seconds: Scalar = 0.0
    largest_captured: int | None = None

    @classmethod
    def of(cls, *, largest_captured: int | None = None, **given: float) -> "Terms":
        """Build them; raises InputError with all that cannot be."""
        unknown = sorted(given.keys() - set(NAMES))
        if unknown:
            raise InputError(f"no terms of a price list: {', '.join(unknown)}; allowed: {', '.join(NAMES)}")
        faults = [fault for name, value in given.items() if (fault := wrong(name, value))]
        if largest_captured is not None and largest_captured < 0:
            faults.append(f"largest_captured is {largest_captured}; it must be 0 (no graphs) or more, in tokens")
        if faults:
            raise InputError("; ".join(faults))
        return cls(**{name: float(value) for name, value in given.items()}, largest_captured=largest_captured)

    @classmethod
    def stack(cls, worlds: Sequence["Terms"], axes: int = 0) -> "Terms":
        """The terms of many worlds as arrays [worlds, 1, .., 1] with `axes` axes of length 1 behind."""
        shape = (len(worlds), *(1,) * axes)
        many: dict[str, Any] = {
            name: np.array([getattr(one, name) for one in worlds], np.float64).reshape(shape) for name in NAMES
        }
        return replace(worlds[0], **many)


def wrong(name: str, value: float) -> str | None:
    """What is wrong with a value of a term, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return f"{name} is {value!r}; it must be a number"
    if name in SECONDS + TIMES and value < 0:
        return f"{name} is {value}; it must be 0 or more, in {'seconds' if name in SECONDS else 'times'}"
    if name in PARTS and not 0 <= value <= 1:
        return f"{name} is {value}; a part is from 0 to 1"
    if name in SHARES and not 0 < value <= 1:
        return f"{name} is {value}; a share is above 0 and at most 1"
    return None


def captured(largest: int) -> list[int]:
    """Sizes of the CUDA graphs [tokens] up to `largest`: 1, 2, 4, every 8 below 256, every 16 from there on.

    vLLM's default (vllm/config/compilation.py, cudagraph_capture_sizes).
    """
    sizes = [1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16)]
    return [size for size in sizes if size <= largest]
