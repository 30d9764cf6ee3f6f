"""Golden curves (InferenceX) fitted at draft lengths 1 to 3 and extrapolated to 7 and 8, beside a constant hazard.

Run as `python -m tests.bench.golden DATA [draws]`.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from tests.golden import golden_curves
from traces.fit_curve import bank, constant_hazard, fit_curve


def main(data: str, draws: str = "4096") -> None:
    """Print each curve and the counts."""
    walks = bank(int(draws), 8, requests=128, tokens=512)
    inside, gains, points = 0, [], 0
    for name, figures in golden_curves(Path(data)).items():
        curve, constant = fit_curve(walks, [1, 2, 3], figures[:3]), constant_hazard(figures, 8)
        for k in (7, 8):
            measured, low, high = figures[k - 1], curve.low[k - 1], curve.high[k - 1]
            inside, points = inside + int(low <= measured <= high), points + 1
            gains.append(abs(constant[k - 1] - measured) - abs(curve.predicted[k - 1] - measured))
            verdict = "inside" if low <= measured <= high else "OUTSIDE"
            print(f"{name:<36} k={k}  measured {measured:.2f}  predicted {curve.predicted[k - 1]:.2f}", end="  ")
            print(
                f"[{low:.2f}, {high:.2f}] {verdict}  constant hazard {constant[k - 1]:.2f}  draws {curve.effective:.0f}"
            )
    p = wilcoxon(gains, alternative="greater").pvalue
    print(
        f"inside the 90 % interval: {inside} of {points}; nearer than a constant hazard by {np.mean(gains):+.3f}",
        end=" ",
    )
    print(f"tokens per step on the mean, at {np.sum(np.array(gains) > 0)} of {points} (signed ranks p = {p:.3f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
