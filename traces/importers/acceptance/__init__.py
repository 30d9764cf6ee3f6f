"""Importers of acceptance: what engines, benchmarks and papers record of accepted drafts.

Each format is one file with `detects(path, head)`, by content, and `read(files)`; docs/acceptance-logs.md says what
each holds, what it loses, and which of survival, hazard and acceptance rate it prints.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from montecarlo.errors import InputError
from traces.acceptance_log import AcceptanceLog
from traces.importers.acceptance import (
    dflash,
    eagle,
    inferencex,
    llama_cpp,
    request_records,
    rules,
    sglang_log,
    sglang_requests,
    spec_bench,
    specdec_bench,
    table,
    tensorrt_llm,
    vllm_bench,
    vllm_log,
    vllm_metrics,
)
from traces.importers.acceptance.files import load

READERS: dict[str, ModuleType] = {
    "request-records": request_records,
    "vllm-metrics": vllm_metrics,
    "vllm-bench": vllm_bench,
    "vllm-log": vllm_log,
    "sglang-requests": sglang_requests,
    "sglang-log": sglang_log,
    "llama-cpp": llama_cpp,
    "tensorrt-llm-iterations": tensorrt_llm,
    "spec-bench": spec_bench,
    "eagle": eagle,
    "dflash": dflash,
    "specdec-bench": specdec_bench,
    "inferencex": inferencex,
    "acceptance-csv": table,
}

FORMATS = tuple(READERS)

HEAD, TAIL = 1 << 18, 1 << 14  # characters by which a format is told: `bench serve` writes its totals at the end


def detect(path: Path, text: str) -> list[str]:
    """The formats whose marks are at the beginning or the end of `text`."""
    head = text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]
    return [name for name, reader in READERS.items() if reader.detects(path, head)]


def read(paths: Sequence[Path], format: str | None = None, *, tree: Sequence[int] | None = None) -> AcceptanceLog:
    """The acceptance in `paths`, all of one format (`format` forces it); tree: nodes per depth of the drafts.

    Raises InputError, one line: where a file cannot be read, its format cannot be told, its acceptance was set instead
    of measured, or its content breaks a law of acceptance (every fault with its count and its first place).
    """
    if not paths:
        raise InputError("no file to import")
    if format is not None and format not in READERS:
        raise InputError(f"format {format!r} is none of {', '.join(FORMATS)}")
    files = load(paths)
    name = format or _one_format({file.path: detect(file.path, file.text) for file in files})
    rules.refuse_synthetic(files)
    log: AcceptanceLog = READERS[name].read(files)
    flags, notes = rules.flags(files)
    log = replace(log, format=name, flags=tuple(sorted({*log.flags, *flags})), notes=(*log.notes, *notes))
    return log if tree is None else log.with_tree(tree)


def _one_format(found: dict[Path, list[str]]) -> str:
    """The one format of all files; raises InputError that says what each could be."""
    nothing = [str(path) for path, names in found.items() if not names]
    if nothing:
        raise InputError(
            f"{', '.join(nothing)}: no known format of acceptance; give --format, one of {', '.join(FORMATS)}"
        )
    common = [name for name in FORMATS if all(name in names for names in found.values())]
    if len(common) == 1:
        return common[0]
    said = "; ".join(f"{path} could be {' or '.join(names)}" for path, names in found.items())
    told = "give --format" if common else "import files of one format at a time"
    raise InputError(f"{said}: {told}")
