"""Results of `vllm bench serve --save-result` as rows to calibrate on (vllm/benchmarks/serve.py; times in ms).

Without speculation the time between tokens is that of a step; with it, that between chunks is. Its median is a step
that carries no prompt, its mean one that now and then does; the mean time per output token has both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studies.calibrate import Observed
from studies.forward import Load
from traces.faults import Faults

NUMBERS = ("max_concurrency", "completed", "total_input_tokens", "total_output_tokens", "output_throughput")
TIMES = ("median_itl_ms", "mean_tpot_ms")
SEVERAL = 1.3  # mean time between chunks over time per token: above it, chunks hold several tokens


@dataclass(frozen=True)
class Bench:
    """The rows of some result files: `names` of the files, the model they served, the load and what was measured."""

    names: tuple[str, ...]
    model: str
    load: Load
    observed: Observed


def read(paths: list[Path]) -> Bench:
    """The rows of `paths`, one each; raises InputError with all their faults in one line."""
    faults, rows = Faults(), []
    places = [path.resolve() for path in paths]
    for twice in sorted({str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1}):
        faults.say(f"{twice} is given twice; a run counts once")
    for path in paths:
        content = _content(path, faults)
        if content is not None:
            rows.append(_row(path.name, content, faults))
    models = sorted({row["model"] for row in rows})
    if len(models) > 1:
        faults.say(f"several targets, {' and '.join(models)}: calibrate one at a time")
    if rows and not faults and all(row["draft_length"] for row in rows):
        faults.say("speculation is on in all of them; give at least one run without")
    faults.refuse(f"calibrate {', '.join(map(str, paths))}")
    column = {key: np.array([row[key] for row in rows], np.float64) for key in rows[0] if key not in ("name", "model")}
    load = Load(*(column[key] for key in ("sequences", "draft_length", "tokens_per_step", "prompt", "output")))
    observed = Observed(column["step"], column["token"], column["rate"])
    return Bench(tuple(row["name"] for row in rows), models[0], load, observed)


def _content(path: Path, faults: Faults) -> dict[str, Any] | None:
    try:
        read = json.loads(path.read_text("utf-8"))
    except OSError as error:
        faults.say(f"{path} cannot be read: {error.strerror}")
        return None
    except ValueError as error:
        faults.say(f"{path} is not one JSON document ({error}); give what `vllm bench serve --save-result` wrote")
        return None
    if not isinstance(read, dict):
        faults.say(f"{path} holds a {type(read).__name__}, not the result of a `vllm bench serve` run")
        return None
    return read


def _number(given: Any) -> bool:
    return not isinstance(given, bool) and isinstance(given, int | float) and bool(np.isfinite(given)) and given > 0


def _row(name: str, given: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """One file's row; NaN where a fault was found."""
    wanted = {key: float(given[key]) if _number(given.get(key)) else np.nan for key in (*NUMBERS, *TIMES)}
    missing = [key for key in NUMBERS if np.isnan(wanted[key])]
    if missing:
        faults.say(f"{name} has no positive {', '.join(missing)}")
    if all(np.isnan(wanted[key]) for key in TIMES):
        faults.say(f"{name} has neither {' nor '.join(TIMES)}")
    failed = given.get("failed") or (given.get("num_prompts") or 0) - (given.get("completed") or 0)
    if isinstance(failed, int | float) and failed > 0:
        faults.say(f"{name} has {failed:g} failed requests; run it again")
    if str(given.get("request_rate", "inf")) not in ("inf", "Infinity"):
        faults.say(
            f"{name} has request_rate {given['request_rate']}: how many requests ran at once is not known; "
            "run with --max-concurrency and no --request-rate"
        )
    length, emitted = _speculation(name, given, faults)
    chunk, token = given.get("mean_itl_ms"), given.get("mean_tpot_ms")
    if not length and _number(chunk) and _number(token) and float(chunk or 0) > SEVERAL * float(token or 1):
        faults.say(
            f"{name} has {float(chunk or 0) / float(token or 1):.2f} times as long between chunks as per token: "
            "speculation is on, and its spec_decode_ figures are missing"
        )
    return {
        "name": name,
        "model": str(given.get("model_id", "a model without a name")),
        "sequences": wanted["max_concurrency"],
        "draft_length": length,
        "tokens_per_step": emitted,
        "prompt": wanted["total_input_tokens"] / wanted["completed"],
        "output": wanted["total_output_tokens"] / wanted["completed"],
        "step": wanted["median_itl_ms"] / 1e3,
        "token": wanted["mean_tpot_ms"] / 1e3,
        "rate": wanted["output_throughput"],
    }


def _speculation(name: str, given: dict[str, Any], faults: Faults) -> tuple[int, float]:
    """(draft length, tokens per step, bonus included) of a run; (0, 1) without speculation."""
    keys = ("spec_decode_num_drafts", "spec_decode_draft_tokens", "spec_decode_acceptance_length")
    found = {key: given.get(key) for key in keys}
    if all(value is None for value in found.values()):
        return 0, 1.0
    if not all(_number(value) for value in found.values()):
        faults.say(f"{name} was run with speculation and needs {', '.join(keys)}")
        return 1, np.nan
    drafts, drafted, emitted = (float(value or 0) for value in found.values())
    return round(drafted / drafts), emitted
