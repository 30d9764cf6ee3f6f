"""Writes the example of docs/quickstart.md beside itself: `python docs/example/write.py`.

Benchmarks are measured figures (studies/measured/gpt-oss-120b-h200.csv), three without drafts and one with, in the
layout of `vllm bench serve --save-result` (vllm/benchmarks/serve.py). The server's log has the lines of
vllm/v1/spec_decode/metrics.py, drawn around the acceptance that the same machine had at 3 drafts and concurrency 16.
Responses have the layout of vLLM's completions with `return_token_ids` and routed experts; the experts are sampled
from the profile gpt-oss-20b, carried over: nobody's prompts are in them.
"""

import base64
import csv
import io
import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from studies import catalog
from traces.request import Shape
from traces.store import Trace
from traces.synthesise_trace import synthesise_trace

HERE = Path(__file__).parent
RUNS = {("1", "0"): "c1", ("16", "0"): "c16", ("64", "0"): "c64", ("16", "3"): "c16-k3"}  # concurrency, draft length
SURVIVAL = (
    0.6089,
    0.3587,
    0.1772,
)  # public vLLM benchmark outputs: nvidia/gpt-oss-120b-Eagle3-v3, k = 3, concurrency 16
INTERVALS, STEPS = 12, 4900  # lines of the log, ten seconds each; verify steps in ten seconds at 1,046 tokens/s
REQUESTS, PROMPT, GENERATED = 20, 3, 16  # tokens of a response: few, so that the file stays small


def benches() -> None:
    """bench-*.json: one run each."""
    text = resources.files("studies").joinpath("measured/gpt-oss-120b-h200.csv").read_text("utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        name = RUNS.get((row["concurrency"], row["draft_length"]))
        if name is None:
            continue
        length, requests = int(row["draft_length"]), 8 * int(row["concurrency"])
        result: dict[str, Any] = {
            "backend": "vllm",
            "model_id": "openai/gpt-oss-120b",
            "num_prompts": requests,
            "request_rate": "inf",
            "max_concurrency": int(row["concurrency"]),
            "completed": requests,
            "failed": 0,
            "total_input_tokens": requests * int(row["prompt_tokens"]),
            "total_output_tokens": requests * int(row["output_tokens"]),
            "output_throughput": float(row["tokens_per_second"]),
            "mean_tpot_ms": round(1e3 * float(row["seconds_per_token"]), 3),
            "median_itl_ms": round(1e3 * float(row["step_seconds"]), 3),
        }
        if length:
            steps = round(result["total_output_tokens"] / float(row["tokens_per_step"]))
            result["spec_decode_acceptance_length"] = float(row["tokens_per_step"])
            result["spec_decode_num_drafts"] = steps
            result["spec_decode_draft_tokens"] = length * steps
        (HERE / f"bench-{name}.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def log() -> None:
    """server.log: what one server said in two minutes."""
    draw = np.random.default_rng(0)
    lines = ["INFO 11-20 09:14:02 [core.py:76] Initializing a V1 LLM engine with config: model='openai/gpt-oss-120b'"]
    for number in range(INTERVALS):
        runs = draw.choice(4, STEPS, p=-np.diff([1, *SURVIVAL, 0]))
        rates = [(runs >= depth).mean() for depth in (1, 2, 3)]
        at = f"INFO 11-20 09:{15 + number // 6}:{number % 6}2"
        lines += [
            f"{at} [loggers.py:127] Engine 000: Avg prompt throughput: 8310.4 tokens/s, Avg generation throughput: "
            f"{(STEPS + runs.sum()) / 10:.1f} tokens/s, Running: 16 reqs, Waiting: 0 reqs, GPU KV cache usage: 9.1%",
            f"{at} [metrics.py:100] SpecDecoding metrics: Mean acceptance length: {1 + runs.mean():.2f}, "
            f"Accepted throughput: {runs.sum() / 10:.2f} tokens/s, Drafted throughput: {0.3 * STEPS:.2f} tokens/s, "
            f"Accepted: {runs.sum()} tokens, Drafted: {3 * STEPS} tokens, "
            f"Per-position acceptance rate: {', '.join(f'{rate:.3f}' for rate in rates)}, "
            f"Avg Draft acceptance rate: {100 * runs.mean() / 3:.1f}%",
        ]
    (HERE / "server.log").write_text("\n".join(lines) + "\n", "utf-8")


def responses() -> None:
    """responses.jsonl: a completion a line, with the experts of every token but the last, as base64 of .npy."""
    target = catalog.target("gpt-oss-120b")
    assert target.moe is not None
    shape = Shape(target.moe_layers, target.moe.experts, target.moe.top_k, target.layers)
    rows = PROMPT + GENERATED - 1  # the last token was sampled and never forwarded
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "routing"
        synthesise_trace("gpt-oss-20b", made, requests=REQUESTS, tokens=rows, seed=7, shape=shape)
        for number, experts in enumerate(np.split(np.asarray(Trace.open(made).experts, np.uint8), REQUESTS)):
            held = io.BytesIO()
            np.save(held, experts)
            choice = {
                "index": 0,
                "text": "...",
                "prompt_token_ids": [0] * PROMPT,
                "token_ids": [0] * GENERATED,
                "routed_experts": base64.b64encode(held.getvalue()).decode(),
            }
            lines.append(json.dumps({"id": f"cmpl-{number}", "object": "text_completion", "choices": [choice]}))
    (HERE / "responses.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    benches()
    log()
    responses()
