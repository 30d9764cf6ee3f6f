"""TensorRT-LLM's expert statistic: choices of each expert, by iteration and layer.

meta_info.json       {"num_experts", "num_experts_per_token", ...}
rank{r}.safetensors  "{iteration}_{layer}" -> int64 [E], choices of that rank's tokens; ranks add up
(tensorrt_llm ExpertStatistic; EXPERT_STATISTIC_ITER_RANGE and EXPERT_STATISTIC_PATH)
"""

import json
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from traces.importers.counts import checked
from traces.request import Counts, Reading

KEY = re.compile(r"(\d+)_(\d+)")
HEAD = re.compile(rb'\{.*"\d+_\d+"\s*:\s*\{\s*"dtype"\s*:\s*"I64"', re.DOTALL)


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is of such a folder."""
    if path.name == "meta_info.json":
        return b'"num_experts_per_token"' in head
    return path.suffix == ".safetensors" and HEAD.match(head[8:]) is not None


def read(paths: list[Path], reading: Reading) -> Counts:
    """Counts [iterations, layers, experts], summed over the ranks."""
    total: dict[tuple[int, int], np.ndarray] = {}
    for path in paths:
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, "np") as file:
                for name in file.keys():  # noqa: SIM118
                    match, bins = KEY.fullmatch(name), file.get_tensor(name)
                    if match is None or bins.ndim != 1:
                        reading.faults.add(
                            "tensors that are no counts of one iteration and layer", f"{path.name}: {name}"
                        )
                        continue
                    at = int(match[1]), int(match[2])
                    if at in total and len(total[at]) != len(bins):
                        reading.faults.add("counts of other experts than another rank's", f"{path.name}: {name}")
                        continue
                    total[at] = total.get(at, np.zeros(len(bins), np.int64)) + bins
        except (SafetensorError, OSError) as error:
            reading.faults.add("files that are no safetensors", f"{path.name}: {error}")
    who = str(paths[0] if len(paths) == 1 else paths[0].parent)
    if not total and not reading.faults:
        reading.faults.say("no counts in it; they are in rank0.safetensors and its like, beside meta_info.json")
    reading.faults.refuse(who)
    iterations, layers = sorted({i for i, _ in total}), sorted({layer for _, layer in total})
    experts = {len(bins) for bins in total.values()}
    missing = [f"{i}_{layer}" for i in iterations for layer in layers if (i, layer) not in total]
    reading.faults.add("layers of iterations are not there", missing[0] if missing else "", len(missing))
    if len(experts) > 1:
        reading.faults.say(f"layers have different numbers of experts: {sorted(experts)}")
    reading.faults.refuse(who)
    counts = np.stack([[total[i, layer] for layer in layers] for i in iterations])
    checked(counts, who, reading)
    return Counts(counts, layers, _top_k(paths, counts, reading))


def _top_k(paths: list[Path], counts: np.ndarray, reading: Reading) -> int:
    meta = [path for path in paths if path.name == "meta_info.json"]
    if not meta:
        return 0
    try:
        said = json.loads(meta[0].read_text("utf-8"))
        experts, top_k = int(said["num_experts"]), int(said["num_experts_per_token"])
    except (ValueError, KeyError, TypeError) as error:
        reading.faults.add("meta_info.json is not what TensorRT-LLM writes", f"{meta[0]}: {error}")
        return 0
    if experts != counts.shape[2]:
        reading.faults.say(f"meta_info.json says {experts} experts, the tensors {counts.shape[2]}")
    return top_k
