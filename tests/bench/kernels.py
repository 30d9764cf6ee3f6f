"""Calibration of the experts' kernel on a measured table, and how it predicts shapes that were left out.

Run as `python -m tests.bench.kernels TABLE.csv` (moe_kernel_latency_h200.csv: H200, TensorRT-LLM; an extract of
NVIDIA's AISimulate tables, Apache-2.0). Rows whose experts were drawn by a power law are predicted under the sampling
that studies/kernels.py states, mean over DRAWS draws, by the fit to balanced rows that left out their model, first
without a straggler, then with the median of those of all other models. Last, what goes into achieved.toml.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np

from studies import catalog, kernels
from studies.kernels import PARAMETERS, Fit, Shape
from studies.prices import File

DRAWS = 24
HARDWARE = catalog.hardware("h200-sxm")


def line(shape: Shape, errors: np.ndarray) -> str:
    memory = shape.memory_bound(HARDWARE)
    rest = f"{np.median(np.abs(errors[~memory])):6.1%}" if (~memory).any() else "     -"
    return (
        f"{shape.precision:12s} {shape.hidden} x {shape.intermediate:5d}, {shape.top_k} of {shape.experts:3d}, "
        f"ranks {shape.ranks}: memory-bound ({memory.sum():2d} rows) median {np.median(np.abs(errors[memory])):6.1%} "
        f"mean {errors[memory].mean():+6.1%} largest {np.abs(errors[memory]).max():6.1%}; beyond {rest}"
    )


def uneven(path: Path, alpha: float) -> list[list[Shape]]:
    """For each shape on one rank: draws of the rows measured under a power law."""
    draws = [
        kernels.read(
            path, f"power_law_{alpha}", partial(kernels.power_law, alpha=alpha, random=np.random.default_rng(draw))
        )
        for draw in range(DRAWS)
    ]
    return [list(same) for same in zip(*draws, strict=True) if same[0].ranks == 1]


def predicted(draws: list[Shape], fit: Fit, straggler: float) -> np.ndarray:
    """Relative errors of a shape under uneven load, of the mean over draws."""
    mean = np.mean([fit.predict(draw, straggler) for draw in draws], axis=0)
    return np.asarray(mean / draws[0].seconds - 1)


def main() -> None:
    path = Path(sys.argv[1])
    shapes = kernels.read(path)
    single = [shape for shape in shapes if shape.ranks == 1]
    whole = kernels.fit(single, HARDWARE)
    deviations = np.sqrt(np.diag(whole.covariance))
    print("estimates (sd of the log or logit)")
    for index, (name, shared) in enumerate(PARAMETERS):
        scale, unit = (1e6, " us") if name.endswith("_seconds") else (1.0, "")
        value = whole.number(index) * scale
        print(f"  {name:18s} {'/'.join(shared):38s} {value:8.4g}{unit} ({deviations[index]:.3f})")
    print("balanced rows, each model left out")
    for shape, errors in kernels.left_out(shapes, HARDWARE):
        print(" ", line(shape, errors))
    models = {shape.model for shape in single}
    fits = {model: kernels.fit([s for s in single if s.model != model], HARDWARE) for model in models}
    for alpha in (1.01, 1.2):
        every = uneven(path, alpha)
        found = {draws[0].model: kernels.straggler(draws, fits[draws[0].model]) for draws in every}
        print(f"power law {alpha}, sampling assumed, each model left out")
        for draws in every:
            model = draws[0].model
            others = float(np.median([value for name, value in found.items() if name != model]))
            print(" ", line(draws[0], predicted(draws, fits[model], 0.0)))
            print(f"    its own straggler {found[model]:.4f}; with that of the others, {others:.4f}:")
            print("   ", line(draws[0], predicted(draws, fits[model], others)))
    sections = [kernels.section(whole, "h200-sxm", experts) for experts in (["bf16", "fp8"], ["mxfp4"])]
    print(File(where=sections).toml())


if __name__ == "__main__":
    main()
