"""The acceptance of a trace folder as a profile of difficulty: fitted, held out, and carried to other draft lengths."""

from dataclasses import asdict

import numpy as np

from montecarlo.errors import InputError
from traces import evidence
from traces.acceptance_log import FLAGS
from traces.describe.steps import strata
from traces.fit_acceptance import Fit, fit
from traces.fitted import LEAST, Fitted, Progress, Row
from traces.held_out_acceptance import FOLDS, held_out
from traces.held_out_routing import folds
from traces.other_lengths import Row as Length
from traces.other_lengths import correlation, other_lengths
from traces.profiles import difficulty
from traces.step_log import StepLog
from traces.store import Trace

HOW = (
    f"{FOLDS} folds of requests, each synthesised on its own texts by the fit to the others; standard errors by "
    "resampling requests; z is the difference over both errors"
)
AT_LENGTHS = (
    "tokens per step of texts of typical length and ease; low to high is the 95 % interval under the fit's errors; "
    "beyond what was drafted the drafter is assumed to hold, and if_falling to go on losing as it did"
)


def fitted(trace: Trace, name: str, progress: Progress = lambda what, done, total: None) -> Fitted:
    """Fit the steps of a trace to a profile called `name`; raises InputError where they say too little."""
    progress("reading", 0, 0)
    log, notes = step_log(trace)
    progress("fitting", 0, 0)
    whole = fit(log)
    fold = folds(_category(trace), FOLDS)
    rows = held_out(log, whole, fold, lambda one: progress("held-out folds", one, FOLDS))
    progress("other draft lengths", 0, 0)
    lengths = other_lengths(whole)
    together = correlation(whole)
    said = {"trace": trace.digest, "requests": log.requests, "steps": len(log.request), "drafted": log.draft_length}
    trade = {} if together is None else {"correlation_of_decay_and_difficulty": round(together, 3)}
    tables = [asdict(row) for row in rows], [asdict(row) for row in lengths]
    head = difficulty.toml(
        whole,
        id=name,
        title=f"acceptance of {trace.info.get('model') or trace.folder.resolve().name}",
        source=f"""
Fitted by `draftodds trace fit` (traces/fit_acceptance.py) to {log.requests:,} requests, {len(log.request):,} steps,
{int(log.tokens.sum()):,} tokens of trace {trace.digest}, read as {trace.info["acceptance"]["format"]}.""",
        limits=f"""
Drafted {log.draft_length} ahead; other lengths carry the errors of what trades off (correlation, other_lengths).
Standard errors are clustered by request; those of time scales are of their logarithm.
{chr(10).join([*notes, _undetermined(whole)])}""",
    )
    evidences = [
        evidence.table("fitted_to", said),
        evidence.table("held_out", {"how": HOW}, tables[0]),
        evidence.table("other_lengths", {"how": AT_LENGTHS, **trade}, tables[1]),
    ]
    return Fitted(
        profile="\n".join([head, *evidences]),
        sentences=_sentences(
            log, whole, together, lengths, max((abs(row.z) for row in rows if row.z == row.z), default=0)
        ),
        estimates=_estimates(whole),
        held_out=tables[0],
        other_lengths=tables[1],
        notes=notes,
    )


def step_log(trace: Trace) -> tuple[StepLog, list[str]]:
    """The steps of a trace as a log, and what is assumed; raises InputError where no fit can be made of them.

    A step that may have been cut at the end of its text is censored at its accepted count: these drafts count, and no
    rejection. Depths that no step decides are left out; nothing is known of them.
    """
    parts, notes = strata(trace)
    if not parts:
        raise InputError(f"trace {trace.folder} holds no verify step, so there is no acceptance to fit")
    steps, faults = parts[0], []
    if steps.requests < LEAST:
        faults.append(f"it has steps of {steps.requests} requests, and a fit and its errors need {LEAST}")
    rejected = (steps.accepted < steps.drafted) & ~steps.cut
    if not steps.accepted.any():
        faults.append("no draft was ever accepted" if steps.drafted.any() else "no step drafted anything")
    elif not rejected.any():
        faults.append("no draft was ever rejected (steps that may have been cut do not count)")
    if faults:
        raise InputError(f"trace {trace.folder} has {len(steps.request):,} steps to fit: {'; '.join(faults)}")
    deepest = int(np.max(np.where(rejected, steps.accepted + 1, steps.accepted)))
    if deepest < int(steps.drafted.max()):
        notes.append(f"No step decided a draft deeper than {deepest}; deeper ones are left out.")
    if (cut := int(steps.cut.sum())) > 0:
        notes.append(f"{cut:,} steps end a text and may have been cut: their accepted drafts count, and no rejection.")
    if len(np.unique(steps.drafted)) > 1:
        notes.append(
            "Drafted lengths vary: depths beyond them are censored, and held-out figures are compared at each "
            "request's longest. A controller that drafts far where it expects acceptance makes even the censoring tell."
        )
    flags, tree = trace.info["acceptance"]["flags"], trace.info["acceptance"]["tree"]
    notes += [f"Of the trace's acceptance: {FLAGS[flag]}." for flag in flags if flag != "tree"]
    if tree or "tree" in flags:
        nodes = f" (nodes by depth: {'/'.join(map(str, tree))})" if tree else ""
        notes.append(f"Drafts were trees{nodes}: a level counts as a depth, and no chain may be read from it.")
    drafted = np.minimum(steps.drafted, deepest)
    log = StepLog.of(request=steps.request, turn=steps.turn, drafted=drafted, accepted=steps.accepted, cut=steps.cut)
    return log, notes


def _category(trace: Trace) -> np.ndarray:
    """Category of each request with a step, as a number."""
    owner = np.unique(trace.frame("steps").select("request").collect()["request"].to_numpy())
    known = trace.frame("requests").select("category").collect()["category"].gather(owner).fill_null("")
    return np.asarray(np.unique(known.to_numpy(), return_inverse=True)[1])


def _undetermined(whole: Fit) -> str:
    held = [name for name in whole.undetermined if name != "length_slope"]
    return f"Not determined, at the end of its range or without a part to belong to: {', '.join(held)}." if held else ""


def _estimates(whole: Fit) -> list[Row]:
    """A row per parameter; time scales in tokens, their errors too (first order)."""
    error = np.sqrt(np.diag(whole.sandwich))
    rows: list[Row] = []
    for name, value, wrong in zip(whole.names, whole.theta, error, strict=True):
        at = float(np.exp(value)) if name.endswith("_tokens") else float(value)
        scaled = float(wrong) * (at if name.endswith("_tokens") else 1)
        rows.append({"parameter": name, "estimate": at, "se": scaled if np.isfinite(scaled) else None})
    return rows


def _sentences(log: StepLog, whole: Fit, together: float | None, lengths: list[Length], worst: float) -> list[str]:
    drafted, last = lengths[log.draft_length - 1], lengths[-1]
    words = [
        f"Fitted to {log.requests:,} requests, {len(log.request):,} steps, drafted {log.draft_length} ahead.",
        f"Held-out requests: survival, ICC, lag-1 and the variance over 32 steps within {worst:.1f} standard errors.",
    ]
    if together is not None:
        words.append(
            f"Decay by depth and difficulty trade off: their estimates correlate {together:+.2f}, and the order of the "
            "steps alone holds them apart."
        )
    words.append(
        f"Tokens per step are known to {_half(drafted):.1%} at the drafted length, {log.draft_length}, to "
        f"{_half(lengths[0]):.1%} at 1, and to {_half(last):.1%} at {last.draft_length} if the drafter holds beyond "
        "what was drafted."
    )
    if last.if_falling is not None and last.tokens_per_step > last.if_falling:
        words.append(
            f"That is {last.tokens_per_step:.2f} at {last.draft_length}; {last.if_falling:.2f} if it goes on losing as "
            "it did. This log cannot tell which."
        )
    if undetermined := _undetermined(whole):
        words.append(undetermined)
    return words


def _half(row: Length) -> float:
    """Half the interval, relative."""
    return (row.high - row.low) / 2 / row.tokens_per_step
