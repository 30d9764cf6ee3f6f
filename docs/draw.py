"""Draws the figures of the documentation: `python docs/draw.py`, in the project's folder.

Every figure is one that a study, or `trace describe`, leaves in its folder. Here the commands are run, and the figures
copied, names that nothing refers to left out. Those of recorded traces need the recordings (DRAFTODDS_DATA, or
../shared/data); without them they stay as they are.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
DATA = Path(os.environ.get("DRAFTODDS_DATA", HERE.parents[1] / "shared" / "data"))
OUT = Path("out") / "docs"
FEW = "batch=[1, 2, 3, 4, 6, 8, 10, 13, 14, 16, 24, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 30000]"

# folder in OUT -> what is run, and the figures taken from it: their names here and there
STUDIES = {
    "optimal-k": (["optimal-k"], {"speedup": "gpt-oss-120b-on-one-h200-speedup"}),
    "economics": (["economics"], {"intensity": "the-post-deepseek-v4-flash-on-a-b200-intensity"}),
    "map": (["economics", "--set", FEW], {"map": "the-post-deepseek-v4-flash-on-a-b200-map"}),
    "stress": (["stress"], {"ladder": "gpt-oss-120b-on-one-h200-ladder"}),
    "validate": (["validate"], {"validation": "gpt-oss-120b-on-one-h200-vllm-cost"}),
    "sensitivity": (
        ["sensitivity"],
        {"gutter": "deepseek-v4-flash-on-a-b200-gutter", "worth": "gpt-oss-120b-on-one-h200-worth"},
    ),
}
RECORDED = {"gpt-oss-20b": {"windows": "windows"}, "EAGLE-1 on Spec-Bench": {"requests": "tokens-per-step"}}


def draftodds(*argv: str) -> None:
    """Run one command; stop where it fails."""
    subprocess.run([sys.executable, "-m", "studies", *argv], check=True, stdout=subprocess.DEVNULL)


def studied() -> None:
    """Run the studies; a folder that is complete is left as it is."""
    for folder, (argv, _) in STUDIES.items():
        draftodds("run", *argv, "--out", str(OUT / folder))


def recorded() -> None:
    """Import and describe the recordings: gpt-oss-20b without its 190 repetitive requests, EAGLE-1's log."""
    archive = np.load(DATA / "routing" / "gpt-oss-20b" / "gptoss20b_decode_routing.npz")
    kept, lengths = ~archive["has_repetition"], np.diff(archive["seq_start"])
    OUT.mkdir(parents=True, exist_ok=True)
    npz = OUT / "gpt-oss-20b.npz"
    experts = archive["expert_ids"][np.repeat(kept, lengths)]
    np.savez_compressed(npz, expert_ids=experts, seq_start=np.cumsum([0, *lengths[kept]]))
    log = DATA / "acceptance" / "specbench-vicuna7b-eagle1.jsonl"
    for name, source, shape in zip(RECORDED, (npz, log), (["--target", "gpt-oss-20b"], []), strict=True):
        if not (OUT / name).exists():
            draftodds("trace", "import", str(source), *shape, "--out", str(OUT / name))
            draftodds("trace", "describe", str(OUT / name))


def light(svg: str) -> str:
    """The same drawing in fewer bytes."""
    svg = re.sub(r"<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"<g/>|<g>\s*</g>", "", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"


def main() -> None:
    """Draw them all."""
    studied()
    taken = {OUT / folder / "figures": figures for folder, (_, figures) in STUDIES.items()}
    if DATA.is_dir():
        recorded()
        taken |= {OUT / name / "describe" / "figures": figures for name, figures in RECORDED.items()}
    for folder, figures in taken.items():
        for name, there in figures.items():
            svg = (folder / f"{there}.svg").read_text("utf-8")
            (HERE / "figures" / f"{name}.svg").write_text(light(svg), "utf-8")


if __name__ == "__main__":
    main()
