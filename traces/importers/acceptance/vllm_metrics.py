"""Two scrapes of vLLM's /metrics, the earlier first: differences of its counters, summed over engines.

    vllm:spec_decode_num_drafts_total                           verify steps of single requests
    vllm:spec_decode_num_draft_tokens_total                     drafts
    vllm:spec_decode_num_accepted_tokens_total                  accepted drafts, the bonus not counted
    vllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"...}   steps that accepted at least position + 1

by labels model_name and engine. Source: vllm/v1/spec_decode/metrics.py. `_created` series are times, not counts; one
that differs between the scrapes shows a restart. SGLang and TensorRT-LLM export gauges instead: means over an unknown
stretch, which no difference can undo, so they are refused.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from montecarlo.errors import InputError
from traces.acceptance_log import DEEPEST, AcceptanceLog, survival_rows
from traces.faults import Faults
from traces.importers.acceptance.files import File, named

NAME = "vllm:spec_decode_num_"
GAUGES = ("sglang:spec_accept_", "trtllm_spec_decode_acceptance_length", "atom:mtp_average_tokens_per_forward")
SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def detects(path: Path, head: str) -> bool:
    """By the names of the series."""
    return any(re.search(rf"^{re.escape(name)}", head, re.MULTILINE) for name in (NAME, *GAUGES))


def read(files: Sequence[File]) -> AcceptanceLog:
    """Survival by model between two scrapes."""
    faults = Faults()
    scrapes = [_series(file, faults) for file in files]
    for file, scrape in zip(files, scrapes, strict=True):
        if not scrape and any(gauge in file.text for gauge in GAUGES):
            raise InputError(
                f"{file.path} holds gauges ({', '.join(g for g in GAUGES if g in file.text)}...): means over an "
                "unknown stretch, which cannot be differenced; import the engine's responses or its log instead"
            )
    if len(files) != 2:
        raise InputError(
            f"{len(files)} scrape(s) of /metrics given; counters run since the server's start, so give two, the "
            "earlier first (one from before the traffic, one from after)"
        )
    before, after = scrapes
    difference = _difference(before, after, faults)
    faults.refuse(named(files))
    absent = len(difference.keys() - before.keys())
    notes = [f"{absent} counters were not there yet in the first scrape and begin at 0."] if absent else []
    return _log(difference, files, notes, faults)


def _series(file: File, faults: Faults) -> Series:
    series: Series = {}
    for line, content in enumerate(file.text.splitlines(), 1):
        if not content.startswith(NAME):
            continue
        sample = SAMPLE.match(content.strip())
        try:
            value = float(sample[3]) if sample else float("nan")
        except ValueError:
            value = float("nan")
        if not sample or not 0 <= value < float("inf"):
            faults.add("lines that are no samples of a counter", f"{file.path.name} line {line}: {content[:60]!r}")
            continue
        key = (sample[1].removesuffix("_total"), tuple(sorted(LABEL.findall(sample[2] or ""))))
        if key in series:
            faults.add("series that are there twice", f"{file.path.name} line {line}; give one scrape per file")
        series[key] = value
    return series


def _difference(before: Series, after: Series, faults: Faults) -> Series:
    """after - before of every counter; a restart between them is a fault, however the counters stand."""
    difference: Series = {}
    for key, value in after.items():
        name, labels = key
        place = f"{name}{dict(labels)}"
        if name.endswith("_created"):
            if before.get(key, value) != value:
                faults.add("counters created anew between the scrapes: the server restarted", place)
            continue
        difference[key] = value - before.get(key, 0.0)
        if difference[key] < 0:
            faults.add(
                "counters that fall: the server restarted between the scrapes, or the later one was given first",
                f"{place} from {before[key]:g} to {value:g}",
            )
    for name, labels in before.keys() - after.keys():
        faults.add("series missing in the second scrape", f"{name}{dict(labels)}")
    return difference


def _log(difference: Series, files: Sequence[File], notes: list[str], faults: Faults) -> AcceptanceLog:
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    depths: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    engines = set()
    for (name, labels), value in difference.items():
        known = dict(labels)
        model = known.get("model_name", "")
        engines.add((model, known.get("engine")))
        if name == f"{NAME}accepted_tokens_per_pos":
            position = known.get("position", "")
            if not position.isdecimal() or int(position) >= DEEPEST:
                faults.add("series by position without a position that can be", f"{name}{known}")
                continue
            depths[model][int(position) + 1] += round(value)
        else:
            totals[model][name.removeprefix(NAME)] += round(value)
    curves, flags = [], set()
    for model, total in totals.items():
        steps, drafted = total["drafts"], total["draft_tokens"]
        length = max(depths[model], default=0)
        if not steps:
            faults.add("models that drafted nothing between the scrapes", model or "(no name)")
            continue
        counts = [depths[model][depth] for depth in range(1, length + 1)]
        if sum(counts) != total["accepted_tokens"]:
            faults.add(
                "models whose accepted drafts by position do not sum to the total",
                f"{model}: {sum(counts)}, not {total['accepted_tokens']}",
            )
        if drafted != steps * length:
            flags.add("varying-length")
        curves += survival_rows(counts, steps, group=model or files[1].group, draft_length=length)
    if len(engines) > 1:
        notes.append(f"Summed over {len(engines)} engines.")
    return AcceptanceLog.of(named(files), faults, curves=curves, flags=flags, notes=notes)
