"""Traces: seconds to import a million tokens of vLLM JSON, and the memory of ten million tokens of routing.

    import   1,000,000 tokens x 24 layers x top-4 as responses of vLLM, in base64 and as nested lists; one core
    store    10,000,000 tokens x 43 layers x top-6 of 256 experts (5.2 GB): written, counted, replayed by the study

Anonymous memory (RssAnon in /proc/PID/status) is sampled from outside; pages of the memory-mapped file are not in it.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

REQUESTS, TOKENS, LAYERS, TOP_K, EXPERTS = 500, 2000, 24, 4, 32
STORED_REQUESTS, STORED_TOKENS = 5000, 2000

OURS = "import sys; from pathlib import Path; from tests.bench import traces; traces.{}(*map(Path, sys.argv[1:]))"
RUN = "run optimal-k --quiet --worlds 20 --set target=deepseek-v4-flash --set hardware=b200-sxm"  # 43 layers, 256, 6


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form in ("base64", "nested lists"):
            source = folder / f"{form}.jsonl"
            with source.open("w") as file:
                for request in range(REQUESTS):
                    file.write(json.dumps(_response(request, form)) + "\n")
            seconds, peak = _measured(OURS.format("read"), source, folder / form)
            label = (
                f"import of 1,000,000 x 24 x 4 in vLLM JSON, {form} ({source.stat().st_size / 1e6:.0f} MB), one core"
            )
            yield label, f"{seconds:.1f} s, {peak:.2f} GB"
            source.unlink()
        for label, function in (("write", "write"), ("count every expert", "scan"), ("draftodds " + RUN, "run")):
            seconds, peak = _measured(OURS.format(function), folder / "stored")
            yield f"10,000,000 x 43 x 6: {label}", f"{seconds:.0f} s, {peak:.2f} GB"


def _measured(code: str, *arguments: Path) -> tuple[float, float]:
    """(seconds, peak anonymous memory [GB]) of a Python process on one core."""
    before, peak, core = time.perf_counter(), 0, {min(os.sched_getaffinity(0))}
    with subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)]) as process:
        os.sched_setaffinity(process.pid, core)
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            held = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
            peak = max(peak, *map(int, held), 0)
            time.sleep(0.02)
    assert process.returncode == 0
    return time.perf_counter() - before, peak * 1024 / 1e9


def _routed(tokens: int, layers: int, experts: int, top_k: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    dtype = np.uint8 if experts <= 255 else np.uint16
    return np.argsort(draw.random((tokens, layers, experts), np.float32), axis=2)[:, :, :top_k].astype(dtype)


def _response(request: int, form: str, pool: list[np.ndarray] = []) -> dict[str, object]:  # noqa: B006
    if not pool:
        pool.append(_routed(2 * TOKENS, LAYERS, EXPERTS, TOP_K))
    ids = pool[0][request : request + TOKENS]
    if form == "base64":
        held = io.BytesIO()
        np.save(held, ids)
        given: object = base64.b64encode(held.getvalue()).decode()
    else:
        given = ids.tolist()
    usage = {"prompt_tokens": TOKENS // 2, "completion_tokens": TOKENS // 2 + 1}
    return {"id": f"cmpl-{request}", "choices": [{"index": 0, "routed_experts": given}], "usage": usage}


def read(source: Path, folder: Path) -> None:
    """Import one file, in a process of its own."""
    from traces import importers

    importers.read([source], folder)


def write(folder: Path, requests: int = STORED_REQUESTS, tokens: int = STORED_TOKENS) -> None:
    """Write the large trace through the store's writer."""
    from traces.request import Reading, Request, Shape, split
    from traces.writer import Writer

    ids = _routed(2 * tokens, 43, 256, 6)
    with Writer(folder, Reading(shape=Shape(43, 256, 6, 43))) as trace:
        for request in range(requests):
            low = request % tokens
            phase = split(tokens, tokens // 4)
            trace.add(Request(ids=ids[low : low + tokens], phase=phase, place="made up", id=str(request)))
        trace.seal({"format": "made up", **trace.experts("made up")})


def scan(folder: Path, block: int = 1 << 16) -> None:
    """Read every row of a trace once, as a description does."""
    from traces.store import Trace

    trace = Trace.open(folder)
    counts = np.zeros((trace.experts.shape[1], 257), np.int64)
    for low in range(0, len(trace.experts), block):
        rows = np.asarray(trace.experts[low : low + block])
        for layer in range(rows.shape[1]):
            counts[layer] += np.bincount(np.minimum(rows[:, layer].ravel(), 256), minlength=257)
    assert counts.sum() == trace.experts.size


def run(folder: Path) -> None:
    """The study on a stored trace, as the command line runs it."""
    from studies.cli import main

    sys.argv = ["draftodds", *RUN.split(), "--trace", str(folder), "--out", str(folder.parent / "out")]
    main()
