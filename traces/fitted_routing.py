"""The routing of a trace folder as a profile: fitted to all requests, and held against requests it did not see."""

from dataclasses import asdict, replace

import numpy as np

from montecarlo.errors import InputError
from montecarlo.text import Text
from traces import evidence, fit_routing, held_out_routing, replay
from traces.fit_routing import NAMES, Fit, Simulation, fit
from traces.fitted import LEAST, Fitted, Progress, Row
from traces.routing_profile import BY_LAYER, document
from traces.routing_statistics import LAGS, statistics
from traces.store import Trace

SIMULATION = Simulation(1024)
SIMULATIONS = fit_routing.SIMULATIONS + held_out_routing.SIMULATIONS
LONGEST = 1 << 16  # tokens of a request that are read; a longer one would have to be held in memory whole
HOW = (
    "requests dealt into two halves, each predicted by the fit to the other; se is over requests; error is predicted "
    "less held out, relative except for overlap, and so are worst_layer, popularity (tokens independent) and uniform"
)


def fitted(trace: Trace, name: str, progress: Progress = lambda what, done, total: None) -> Fitted:
    """Fit the routing of a trace to a profile called `name`; raises InputError where there is too little of it."""
    progress("reading", 0, 0)
    experts = int(trace.info["experts"])
    text, notes = replay.text(trace.folder)
    layers, top_k = text.experts.shape[1:]
    long = int(np.sum(text.lengths > LAGS[-1]))
    if long < LEAST:
        raise InputError(
            f"trace {trace.folder} has {long} requests of more than {LAGS[-1]} tokens with their experts; a fit of "
            f"routing and its errors need {LEAST}"
        )
    if top_k >= experts:
        raise InputError(f"trace {trace.folder} uses all its {experts} experts in every token: no routing to fit")
    if (cut := int(np.sum(text.lengths > LONGEST))) > 0:
        notes.append(f"Of {cut:,} requests the first {LONGEST:,} tokens are fitted.")
        text = replace(text, lengths=np.minimum(text.lengths, LONGEST))
    if not trace.info["experts_known"]:
        notes.append(f"The number of experts, {experts}, is assumed from the highest id.")
    done = 0

    def begins() -> None:
        nonlocal done
        progress("simulating", done, SIMULATIONS)
        done += 1

    whole = fit(statistics(text, experts), simulation=replace(SIMULATION, begins=begins))
    rows = held_out_routing.held_out(text, experts, whole, _category(trace, text), begins)
    table = [asdict(row) for row in rows]
    seen = {"requests": text.requests, "tokens": int(text.lengths.sum())}
    head = document(
        whole,
        id=name,
        title=f"routing of {trace.info.get('model') or trace.folder.resolve().name}",
        source=f"""
Fitted by `draftodds trace fit` (traces/fit_routing.py, {SIMULATION.requests:,} simulated requests of
{SIMULATION.tokens} tokens) to {seen["requests"]:,} requests, {seen["tokens"]:,} tokens of trace
{trace.digest}, read as {trace.info["format"]}.""",
        limits=f"""
One model on one traffic. Fitted to overlap up to {LAGS[-1]} tokens apart: beyond, it is extrapolated. Layers are
independent given where sections end. nan: a part at 0 has no error.
{chr(10).join(notes)}""",
    )
    tables = [
        evidence.table("fitted_to", {"trace": trace.digest, **seen, "layers": layers}),
        evidence.table("held_out", {"how": HOW}, table),
    ]
    return Fitted(
        profile="\n".join([head, *tables]),
        sentences=_sentences(whole, rows, f"{seen['requests']:,} requests, {seen['tokens']:,} tokens, {layers} layers"),
        estimates=_estimates(whole),
        held_out=table,
        notes=notes,
    )


def _category(trace: Trace, text: Text) -> np.ndarray:
    """Category of each request of the text, as a number."""
    owner = trace.frame("tokens").select("request").collect()["request"].gather(text.start[: text.requests])
    known = trace.frame("requests").select("category").collect()["category"].gather(owner).fill_null("")
    return np.asarray(np.unique(known.to_numpy(), return_inverse=True)[1])


def _estimates(whole: Fit) -> list[Row]:
    """A row per parameter: mean over layers where it is not absent, the range, and the mean error."""
    layer, (error, tokens_error) = whole.parameters.layer, whole.errors
    tokens = whole.parameters.section_tokens
    said: list[Row] = [{"parameter": "section_tokens", "mean": tokens, "se": tokens * tokens_error}]
    for part in BY_LAYER:
        at = NAMES.index(
            {"concentration": "topic", "section_concentration": "section", "stickiness": "sticky"}.get(part, part)
        )
        there = layer[:, at] > 0
        if not there.any():
            said.append({"parameter": part, "layers": 0})
            continue
        value, wrong = layer[there, at], error[there, at]
        if part.endswith("concentration"):
            value, wrong = 1 / value - 1, wrong / value**2
        held = {"mean": value.mean(), "least": value.min(), "largest": value.max(), "se": wrong.mean()}
        said.append({"parameter": part, "layers": int(there.sum()), **{key: float(one) for key, one in held.items()}})
    return said


def _sentences(whole: Fit, rows: list[held_out_routing.Row], seen: str) -> list[str]:
    def worst(prefix: str, of: str = "error") -> float:
        return max((abs(getattr(row, of)) for row in rows if row.figure.startswith(prefix)), default=0.0)

    batches = max(abs(row.error) for row in rows if "request" in row.figure)
    return [
        f"Fitted to {seen}. Sections of the text last {whole.parameters.section_tokens:.1f} tokens.",
        f"Held-out requests: distinct experts of 2 to 32 tokens within {worst('distinct'):.1%} (a layer: "
        f"{worst('distinct', 'worst_layer'):.1%}), of batches of windows within {batches:.1%}, overlap within "
        f"{worst('overlap'):.3f} (a layer: {worst('overlap', 'worst_layer'):.3f}).",
        f"Popularity alone would be up to {worst('distinct', 'popularity'):.0%} off, uniform routing up to "
        f"{worst('distinct', 'uniform'):.0%}.",
    ]
