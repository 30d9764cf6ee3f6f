"""From a configured scenario to what is simulated: prices, routing, acceptance, grids, and what was assumed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from montecarlo.acceptance import Acceptance
from montecarlo.achieved import Achieved
from montecarlo.cost import Ideal
from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from montecarlo.post import Post
from montecarlo.routing import Routing
from montecarlo.surface import Recording
from montecarlo.terms import Terms
from studies import catalog, choices, config
from studies.prices import Priors
from traces import replay

PREFILL_TOKENS = 8192  # a step; vLLM's max_num_batched_tokens for serving on large devices (vllm/engine/arg_utils.py)


@dataclass(frozen=True)
class Prompts:
    """Requests with prompts: their lengths [tokens], equally likely; mean output; how they are prefilled."""

    prompt_tokens: tuple[int, ...]
    output_tokens: int
    prefill: str
    prefill_tokens: int  # a step


@dataclass(frozen=True)
class Built:
    """A scenario ready to run.

    prices: those of `priors` at their medians, where there are any; every world draws its own (`drawn`). process: the
    synthetic routing, recording: the recorded one (both None: a dense target). labels: the words of the result
    columns. notes: assumptions made and things left out, a sentence each.
    """

    labels: dict[str, Any]
    prices: Ideal | Post
    priors: Priors | None
    layers: int
    experts: int
    top_k: int
    process: Routing | None
    recording: Recording | None
    acceptance: Acceptance | Difficulty
    tail: str
    prompts: Prompts | None
    requests: int
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    lengths: tuple[int, ...]
    notes: tuple[str, ...]

    def drawn(self, seed: int, worlds: range, axes: int = 0) -> Ideal | Post:
        """The prices of `worlds`, along an axis in front of `axes` others (one world and no axes: its own alone)."""
        if self.priors is None:
            return self.prices
        assert isinstance(self.prices, Achieved)
        terms = [self.priors.draw(seed, world) for world in worlds]
        return replace(self.prices, terms=Terms.stack(terms, axes) if axes else terms[0])

    @property
    def ideal(self) -> Ideal | None:
        """The rooflines under prices that are drawn; None where prices are not."""
        if not isinstance(self.prices, Achieved):
            return None
        return Ideal(self.prices.target, self.prices.hardware, self.prices.drafter)

    @property
    def walked(self) -> bool:
        """Whether requests are walked: acceptance depends on the place in the text, so that no surface is exact."""
        return isinstance(self.acceptance, Difficulty)

    @property
    def deepest(self) -> int:
        """The longest draft length of the grid."""
        return max(self.lengths)


def build(study: config.Study, index: int) -> Built:
    """Build scenario `index` of a resolved study; raises InputError for what cannot be."""
    given = study.scenario[index]
    lengths, contexts = grids(given)
    notes: list[str] = []
    priced = choices.priced(given, notes)
    prices, layers, experts, top_k = priced.prices, priced.layers, priced.experts, priced.top_k
    tracing = given.routing == "trace"
    process, recording = None, None
    if not experts and tracing:
        raise InputError(f"trace {study.trace} is used for nothing: target {given.target} is dense")
    if not experts:
        notes.append("The target is dense: routing has nothing to choose, so only acceptance and prices matter.")
    elif tracing:
        if study.trace is None:
            raise InputError("routing = trace needs a trace; give it with --trace PATH")
        text, left_out = replay.read(Path(study.trace), layers=layers, experts=experts, top_k=top_k)
        notes += left_out
        recording = Recording.of(text, experts)
    else:
        process = choices.routing(str(given.routing), layers, experts, top_k, notes)
        if isinstance(prices, Ideal) and prices.target.moe:
            process = process.limited(prices.target.moe.groups, prices.target.moe.top_groups)
    acceptance = choices.acceptance(given.acceptance, given.target, max(lengths), notes, study.trace)
    if isinstance(acceptance, Difficulty):
        notes.append(
            "Acceptance depends on the place in the text, so requests are walked step by step (method = walk); "
            "context_tokens is where their texts begin."
        )
    requests = study.world_requests
    if recording:
        requests = min(requests, recording.text.requests)
        shortest = int(recording.text.lengths.min())
        if shortest <= max(lengths):
            count = int(np.sum(recording.text.lengths <= max(lengths)))
            notes.append(f"{count} requests of the trace are shorter than the longest window; it holds them whole.")
        notes.append(
            "The trace's accepted text stands in for draft tokens: what rejected drafts load is the assumption "
            f"tail = {given.tail}."
        )
    batches = _batches(given, requests, recording is not None, notes)
    return Built(
        labels=labels("optimal-k", given, experts),
        prices=prices,
        priors=priced.priors,
        layers=layers,
        experts=experts,
        top_k=top_k,
        process=process,
        recording=recording,
        acceptance=acceptance,
        tail=given.tail,
        prompts=_prompts(given, notes),
        requests=requests,
        batches=batches,
        contexts=contexts,
        lengths=lengths,
        notes=tuple(notes),
    )


def _prompts(given: config.Scenario, notes: list[str]) -> Prompts | None:
    """The prompts of a scenario, if it has any; raises InputError where half of what they need is given."""
    named = [key for key in ("prompt_tokens", "output_tokens", "prefill", "prefill_tokens") if getattr(given, key)]
    if not named:
        return None
    if given.prompt_tokens is None or given.output_tokens is None:
        raise InputError(f"{', '.join(named)}: prompts need both prompt_tokens and output_tokens")
    if given.prices == "post":
        raise InputError("prompt_tokens: prices = post knows no prefill; leave it out, or use achieved or ideal")
    how, budget = given.prefill or "chunked", given.prefill_tokens or PREFILL_TOKENS
    where = "on other devices" if how == "disaggregated" else "in the steps that decode"
    notes.append(
        f"Throughput counts prompts of {', '.join(map(str, given.prompt_tokens))} tokens, prefilled {where}, at most "
        f"{budget:,} a step, for {given.output_tokens:,} tokens of output, at the medians of the prices."
    )
    return Prompts(tuple(given.prompt_tokens), given.output_tokens, how, budget)


def grids(given: config.Scenario) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(draft lengths, contexts) of a filled scenario; raises InputError for those that cannot be."""
    lengths, contexts = given.draft_length or [0], given.context_tokens
    if min(lengths) < 0 or max(lengths) > config.LONGEST_DRAFT:
        wrong = min(lengths) if min(lengths) < 0 else max(lengths)
        raise InputError(f"draft_length is {wrong}; it must be from 0 (no drafting) to {config.LONGEST_DRAFT}")
    if min(contexts) < 1:
        raise InputError(f"context_tokens is {min(contexts)}; it must be at least 1")
    return tuple(lengths), tuple(contexts)


def labels(name: str, given: config.Scenario, experts: int) -> dict[str, Any]:
    """The words of a scenario's rows in the results of study `name`."""
    return {
        "scenario": given.name,
        "study": name,
        "target": _stem(given.target),
        "hardware": _stem(given.hardware),
        "devices": given.devices,
        "tp": given.tp,
        "ep": given.ep,
        "drafter": str(given.drafter),
        "prices": _stem(given.prices),
        "routing": _stem(str(given.routing)) if experts else "none",
        "acceptance": _acceptance_label(given.acceptance),
        "tail": given.tail,
    }


def fill(name: str, study: config.Study) -> config.Study:
    """Put the defaults of the study `name` and of the targets where a scenario is silent, name the scenarios, and
    bind the trace.
    """
    scenarios = []
    held = replay.holds(Path(study.trace)) if study.trace is not None else set()
    for given in study.scenario:
        entry = catalog.entry("target", given.target)
        tracing = "routing" in held and given.routing is None
        filled = given.model_copy(
            update={
                "drafter": entry.get("drafter", choices.DEFAULTS["drafter"])
                if given.drafter is None
                else given.drafter,
                "acceptance": _usual_acceptance(entry, held) if given.acceptance is None else given.acceptance,
                "routing": ("trace" if tracing else _usual_routing(name, given))
                if given.routing is None
                else given.routing,
                "draft_length": config.LENGTHS[name] if given.draft_length is None else given.draft_length,
                "name": given.name or f"{_stem(given.target)} on one {_stem(given.hardware)}",
            }
        )
        scenarios.append(filled)
    names = [scenario.name for scenario in scenarios]
    if len(set(names)) < len(names):
        raise InputError(f"two scenarios are called {next(n for n in names if names.count(n) > 1)!r}; give each a name")
    if study.trace is not None and not held:
        raise InputError(f"trace {study.trace} holds popularity only: it can be described, and not replayed")
    if study.trace is not None and not any("trace" in (one.routing, one.acceptance) for one in scenarios):
        raise InputError(
            f"trace {study.trace} is used for nothing: routing = {scenarios[0].routing}, acceptance = "
            f"{scenarios[0].acceptance}; leave out one of them"
        )
    sha = replay.digest(Path(study.trace)) if study.trace is not None else None
    plain = study.model_dump() | {"scenario": [scenario.model_dump(warnings=False) for scenario in scenarios]}
    return config.validated(plain | {"trace_sha256": sha})


def _usual_acceptance(entry: dict[str, Any], held: set[str]) -> Any:
    return "trace" if "acceptance" in held else entry.get("acceptance", choices.DEFAULTS["acceptance"])


def _usual_routing(name: str, given: config.Scenario) -> str:
    if given.prices == "post":
        return "uniform"
    return "qwen3.6-35b-a3b" if name in config.EXACT else "gpt-oss-20b"


def _stem(given: str) -> str:
    return Path(given).stem if given.endswith(".toml") else given


def _acceptance_label(given: Any) -> str:
    if isinstance(given, dict):
        kind, values = next(iter(given.items()))
        return f"{kind} {' '.join(f'{v:g}' for v in values)}"
    if isinstance(given, list):
        return f"survival {' '.join(f'{v:g}' for v in given)}"
    return _stem(given) if isinstance(given, str) else f"{float(given):g}"


def _batches(given: config.Scenario, requests: int, tracing: bool, notes: list[str]) -> tuple[int, ...]:
    limit = f"the trace's {requests} requests" if tracing else f"world_requests = {requests}"
    if given.batch is None:
        kept = tuple(batch for batch in config.BATCHES if batch <= requests)
        if len(kept) < len(config.BATCHES):
            left = [batch for batch in config.BATCHES if batch > requests]
            notes.append(f"Batches {left[0]} to {left[-1]} are left out: more sequences than {limit}.")
        return kept
    if min(given.batch) < 1:
        raise InputError(f"batch is {min(given.batch)}; it must be at least 1")
    if max(given.batch) > requests:
        raise InputError(f"batch is {max(given.batch)}, more than {limit}; ask for at most {requests}")
    return tuple(given.batch)
