"""What a source says of accepted drafts, in the columns of traces/schema.py, and the laws all of it must obey.

A                drafts accepted in a verify step, the bonus or correction not counted
S(d) = P(A >= d) survival: what engines print as "per-position acceptance rate"
h(d) = S(d) / S(d-1)                      hazard
tokens per step = 1 + sum over d of S(d)  the bonus counted once
accepted / drafted                        "acceptance rate": falls with the draft length, never a hazard
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from montecarlo.errors import InputError
from traces.faults import Faults
from traces.schema import CURVES, MEANS, REQUESTS, STEPS, Schema

Row = Mapping[str, Any]

MOST = 2**53  # no count gets here
DEEPEST = 1024  # no drafter drafts so far

FLAGS = {
    "lossy": "drafts were accepted by a rule that changes the text (typical or relaxed acceptance)",
    "block": "drafts were verified as one block: accepted prefixes are not decided draft by draft",
    "tree": "drafts were trees: depths are depths of the tree, and no chain may be fitted to them",
    "shape-unknown": "the source does not say whether the drafts were chains or trees",
    "varying-length": "draft lengths varied, not recorded by step: shares are of all steps, drafted as deep or not",
    "approximate": "counts were recovered from rounded figures",
    "suspected-synthetic": "acceptance never varies, as if it had been forced",
}


class Steps:
    """Columns of STEPS, filled a turn at a time."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in STEPS}

    def turn(
        self, request: int, turn: int, accepted: Sequence[int], drafted: Sequence[int] | int | None = None, **known: Any
    ) -> None:
        """One turn's steps, in order; the last may have been cut at the text's end. `known`: batch, seconds."""
        count = len(accepted)
        deep = list(drafted) if isinstance(drafted, Sequence) else [drafted] * count
        columns = {
            "request": [request] * count,
            "turn": [turn] * count,
            "step": range(count),
            "drafted": deep,
            "accepted": accepted,
            "cut": [False] * (count - 1) + [True] if count else [],
        }
        for name, column in self.columns.items():
            column.extend(columns.get(name, known.get(name, [None] * count)))

    def frame(self) -> pl.DataFrame:
        """The steps, in the types of STEPS."""
        return pl.DataFrame(self.columns, schema=STEPS)


@dataclass(frozen=True)
class AcceptanceLog:
    """Frames in the columns of traces/schema.py, any of them empty.

    tree: nodes per depth where drafts were trees of one shape; None for chains, and where it is not known.
    flags: names of FLAGS. notes: a sentence each: what was assumed or repaired, with counts. format: what was read.
    """

    requests: pl.DataFrame
    steps: pl.DataFrame
    curves: pl.DataFrame
    means: pl.DataFrame
    tree: tuple[int, ...] | None
    flags: tuple[str, ...]
    notes: tuple[str, ...]
    format: str = ""

    @classmethod
    def of(
        cls,
        source: str,
        faults: Faults,
        *,
        requests: Iterable[Row] = (),
        steps: Steps | None = None,
        curves: Iterable[Row] = (),
        means: Iterable[Row] = (),
        tree: tuple[int, ...] | None = None,
        flags: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> "AcceptanceLog":
        """Build and check a log of `source`; raises InputError with its faults and those in `faults`, all at once."""
        log = cls(
            _frame(requests, REQUESTS, faults),
            (steps or Steps()).frame(),
            _frame(curves, CURVES, faults),
            _frame(means, MEANS, faults),
            tree,
            tuple(sorted(set(flags) | ({"tree"} if tree else set()))),
            tuple(dict.fromkeys(notes)),
        )
        unknown = set(log.flags) - set(FLAGS)
        assert not unknown, unknown
        _check_steps(log, faults)
        _check_curves(log.curves, faults)
        _check_means(log.means, faults)
        _check_sums(log, faults)
        faults.refuse(source)
        if log.steps.is_empty() and log.curves.is_empty() and log.means.is_empty():
            raise InputError(f"{source}: no verify step in it; was speculative decoding on?")
        return log

    def with_tree(self, tree: Sequence[int]) -> "AcceptanceLog":
        """The same log, its drafts trees of `tree` nodes per depth; raises InputError where they cannot be.

        One node at every depth is a chain.
        """
        if not tree or any(isinstance(nodes, bool) or nodes < 1 for nodes in tree):
            raise InputError(f"tree is {list(tree)}; give the nodes at depth 1, 2, ..., each at least 1")
        if self.steps.is_empty():
            raise InputError("a tree was given, but the source has no steps: only step logs can be of a known tree")
        deepest = max(self.steps.select("accepted", "drafted").fill_null(0).max().row(0))
        if deepest > len(tree):
            raise InputError(f"a tree {len(tree)} deep was given, but a step drafted or accepted {deepest}")
        steps = self.steps.with_columns(pl.col("drafted").fill_null(len(tree)))
        chain = set(tree) == {1}
        flags = {*self.flags} - {"shape-unknown", "tree"} | (set() if chain else {"tree"})
        return replace(self, steps=steps, tree=None if chain else tuple(tree), flags=tuple(sorted(flags)))


def survival_rows(counts: Sequence[int], steps: int, **known: Any) -> list[dict[str, Any]]:
    """Rows of CURVES: counts[d-1] of `steps` steps accepted at least d drafts."""
    return [
        {"depth": depth, "steps": steps, "accepted": count, "survival": count / steps, **known}
        for depth, count in enumerate(counts, 1)
    ]


def _frame(rows: Iterable[Row], schema: Schema, faults: Faults) -> pl.DataFrame:
    held = []
    for row in rows:
        out = [name for name, value in row.items() if isinstance(value, int) and abs(value) >= MOST]
        if out:
            faults.add("counts beyond any that can be", f"{row.get('group', '')} {out[0]}: {row[out[0]]}")
        else:
            held.append(row)
    return pl.DataFrame({name: [row.get(name) for row in held] for name in schema}, schema=schema)


def _check_steps(log: AcceptanceLog, faults: Faults) -> None:
    accepted, drafted = pl.col("accepted"), pl.col("drafted")
    laws = {
        "steps that accepted less than no draft": accepted < 0,
        "steps that accepted more than was drafted": accepted > drafted,
    }
    if log.tree:
        laws["steps drafted deeper than the tree"] = drafted > len(log.tree)
    for kind, broken in laws.items():
        wrong = log.steps.filter(broken)
        if wrong.height:
            row = wrong.row(0, named=True)
            name = log.requests["id"][row["request"]] or row["request"]
            place = f"request {name}, turn {row['turn']}, step {row['step']}"
            faults.add(kind, f"{place}: accepted {row['accepted']} of {row['drafted']}", wrong.height)


def _place(row: Row) -> str:
    request = "" if row["request"] is None else f", request {row['request']}"
    length = "" if row["draft_length"] is None else f", draft length {row['draft_length']}"
    return f"{row['group']}{request}{length}"


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("group", "request", "category", "temperature", "draft_length"))


def _check_curves(curves: pl.DataFrame, faults: Faults) -> None:
    before: dict[tuple[Any, ...], tuple[int, float]] = {}
    for row in curves.iter_rows(named=True):
        depth, survival = row["depth"], row["survival"]
        at = f"{_place(row)}, depth {depth}"
        last, above = before.get(_key(row), (0, 1.0))
        if depth != last + 1:
            faults.add("depths that do not follow 1, 2, ...", f"{at} after {last}")
        if not 0 <= survival <= 1:
            faults.add("survivals outside 0..1; a percentage must be divided by 100", f"{at}: {survival:g}")
        elif survival > above + 1e-9:
            faults.add(
                "survivals that rise with depth; are they hazards (conditional rates)?",
                f"{at}: {survival:g} after {above:g}",
            )
        if row["draft_length"] is not None and depth > row["draft_length"]:
            faults.add("depths beyond the drafted length", at)
        before[_key(row)] = (depth, survival)


def _check_means(means: pl.DataFrame, faults: Faults) -> None:
    for row in means.iter_rows(named=True):
        at, tokens, length = _place(row), row["tokens_per_step"], row["draft_length"]
        steps, drafted, accepted = row["steps"], row["drafted"], row["accepted"]
        if drafted is not None and accepted is not None and accepted > drafted:
            faults.add("rows that accepted more than was drafted", f"{at}: {accepted} of {drafted}")
        if tokens is None:
            continue
        if not tokens >= 1 - 1e-9:
            faults.add("tokens per step below 1; the bonus must be counted", f"{at}: {tokens:g}")
        elif length is not None and tokens > length + 1 + 1e-9:
            faults.add("tokens per step above draft length + 1", f"{at}: {tokens:g}")
        if steps and accepted is not None and abs(tokens - 1 - accepted / steps) > 1e-6 * tokens:
            faults.add("tokens per step that are not 1 + accepted / steps", f"{at}: {tokens:g}")


def _check_sums(log: AcceptanceLog, faults: Faults) -> None:
    """1 + sum of survival = tokens per step, to the rounding of printed figures, where all depths are known."""
    sums: dict[tuple[Any, ...], list[float]] = {}
    for row in log.curves.iter_rows(named=True):
        sums.setdefault(_key(row), []).append(row["survival"])
    for row in log.means.iter_rows(named=True):
        known, length = sums.get(_key(row), []), row["draft_length"]
        if row["tokens_per_step"] is None or len(known) != length:
            continue
        expected = 1 + sum(known)
        if abs(row["tokens_per_step"] - expected) > 0.02 + 0.005 * length:
            faults.add(
                "tokens per step that are not 1 + the sum of survival (is the bonus left out, or are these hazards?)",
                f"{_place(row)}: {row['tokens_per_step']:g}, not {expected:g}",
            )
