"""Golden curves (InferenceX) fitted at draft lengths 1 to 3 and extrapolated to 7 and 8, beside a constant hazard.

Run as `python -m tests.bench.golden DATA [draws] [PROFILES]`; with a folder PROFILES the chain drafters' curves are
fitted at all eight lengths and written there as TOML. One that is a block drafter's has no common process: every block
size is a drafter of its own.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from tests.golden import golden_curves
from traces.fit_curve import Bank, bank, constant_hazard, fit_curve, posterior
from traces.profiles import difficulty

CHAINS = {  # curve -> id, drafter, temperature, GitHub Actions run of InferenceX
    "deepseek-v4-pro thinking_on": ("deepseek-v4-pro-mtp-thinking", "MTP", "1.0, reasoning effort high", 27180633016),
    "deepseek-v4-pro thinking_off": ("deepseek-v4-pro-mtp", "MTP", "1.0", 27180633016),
    "glm-5.2-fp8 thinking_on": ("glm-5.2-mtp-thinking", "MTP", "1.0, top_p 0.95", 28058352479),
    "kimi-k2.5-nvfp4 thinking_on": ("kimi-k2.5-eagle-3-thinking", "EAGLE-3", "1.0, top_p 0.95", 28122195822),
    "kimi-k2.5-nvfp4 thinking_off": ("kimi-k2.5-eagle-3", "EAGLE-3", "0.6, top_p 0.95", 28122195822),
    "qwen3.5-397b-a17b-nvfp4 thinking_on": (
        "qwen3.5-397b-a17b-mtp-thinking",
        "MTP",
        "0.6, top_p 0.95, top_k 20",
        27317114007,
    ),
    "qwen3.5-397b-a17b-nvfp4 thinking_off": (
        "qwen3.5-397b-a17b-mtp",
        "MTP",
        "0.7, top_p 0.8, top_k 20, presence penalty 1.5",
        27317114007,
    ),
}


def profile(walks: Bank, name: str, figures: np.ndarray) -> str:
    """The TOML of one chain drafter's curve, fitted at all its lengths."""
    id, drafter, sampling, run = CHAINS[name]
    model, mode = name.split()
    lengths = np.arange(1, len(figures) + 1)
    curve = fit_curve(walks, lengths, figures)
    return difficulty.toml_of_curve(
        posterior(walks, curve, lengths, figures),
        id=id,
        title=f"{drafter} on {model}, coding, {mode.replace('_', ' ')}",
        source=f"""
Fitted by traces/fit_curve.py to tokens per step at draft length 1 to {len(figures)}
({", ".join(f"{value:.2f}" for value in figures)}), {drafter} on {model}, SPEED-Bench coding, {mode.replace("_", " ")},
temperature {sampling}, 4,096 tokens out, B300: SemiAnalysisAI/InferenceX golden acceptance lengths (Apache-2.0),
GitHub Actions run {run}.""",
        limits="""
Tokens per step alone: how difficulty moves along the text is the stated prior of traces/fit_curve.py, not measured.
Figures carry noise of about 0.1. Standard errors are posterior standard deviations, of time scales in the logarithm.
One kind of traffic: coding.""",
    )


def main(data: str, draws: str = "4096", out: str | None = None) -> None:
    """Print each curve and the counts."""
    walks = bank(int(draws), 8, requests=128, tokens=512)
    inside, gains, points = 0, [], 0
    for name, figures in golden_curves(Path(data)).items():
        if out is not None and name in CHAINS:
            difficulty.write(Path(out) / f"{CHAINS[name][0]}.toml", profile(walks, name, figures))
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
