"""A trace folder fitted: the text of its profile, and what there is to say of it.

A profile has one kind, so a folder that holds routing and acceptance is fitted twice, to two profiles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from montecarlo.errors import InputError
from traces.store import Trace

What = Literal["routing", "acceptance"]
Progress = Callable[[str, int, int], None]  # what is done, how far, of how much (0: unknown)
Row = Mapping[str, Any]

# With fewer clusters an error clustered by request is itself unknown to more than a sixth: 1 / sqrt(2 (n - 1)).
LEAST = 20


@dataclass(frozen=True)
class Fitted:
    """profile: its TOML. sentences: the answer. Tables, a row each: estimates, held_out, other_lengths. notes."""

    profile: str
    sentences: list[str]
    estimates: Sequence[Row]
    held_out: Sequence[Row]
    other_lengths: Sequence[Row] = ()
    notes: list[str] = field(default_factory=list)


def chosen(trace: Trace, what: str | None) -> What:
    """What of the trace is to be fitted; raises InputError where it holds neither, or both and none is named."""
    if what not in (None, "routing", "acceptance"):
        raise InputError(f"--what {what}: allowed are routing and acceptance")
    routing, acceptance = trace.has("experts"), trace.has("steps")
    if routing and acceptance and what is None:
        raise InputError(
            f"trace {trace.folder} holds routing and acceptance, and a profile has one kind: add --what routing or "
            "--what acceptance, and fit the other to a second profile"
        )
    if what != "acceptance" and routing:
        return "routing"
    if what != "routing" and acceptance:
        return "acceptance"
    lacking = []
    if what != "acceptance":
        held = "popularity only (counts)" if trace.has("counts") else "no routing"
        lacking.append(f"{held}, and a fit needs the experts of every token")
    if what != "routing":
        shares = trace.has("curves") or trace.has("means")
        held = "acceptance as shares only" if shares else "no acceptance"
        lacking.append(f"{held}, and a fit needs the accepted drafts of every step")
    raise InputError(f"trace {trace.folder} cannot be fitted: it holds {'; '.join(lacking)}")
