"""One engine's measured rows beside what its prices predict (the formulas are in studies/validate.py)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from montecarlo.keys import Stream, generator
from montecarlo.overlap import Overlap
from montecarlo.roofline import Floats
from montecarlo.terms import NAMES
from studies import calibrate, forward, measured, prices, scores
from studies.calibrate import Observed, Posterior
from studies.forward import Deployment, Load, Times
from studies.measured import Group

QUANTITIES = ("step ratio", "throughput gain", "seconds per token")


@dataclass(frozen=True)
class Engine:
    """One hardware that a group may have run on."""

    hardware: str
    devices: int
    deployment: Deployment
    priors: prices.Priors


@dataclass(frozen=True)
class Compared:
    """Rows of the result files for one group."""

    predictions: list[dict[str, Any]]
    choices: list[dict[str, Any]]
    terms: list[dict[str, Any]]


@dataclass(frozen=True)
class _Rows:
    """A group's rows as arrays; `drafted` are those to predict, `partner` the one without drafts beside each."""

    load: Load
    observed: Observed
    given: Floats  # relative error of the accepted drafts
    drafted: np.ndarray
    partner: np.ndarray


def compared(group: Group, engines: tuple[Engine, ...], seed: int, worlds: int, place: int) -> Compared:
    """Fit the `engines` a group may have run on to its rows without drafts, and predict the others.

    place: the group's number in its data set, for random numbers of its own.
    """
    rows = _rows(group.rows)
    base = rows.load.draft_length == 0
    observed = Observed(rows.observed.step[base], rows.observed.token[base], rows.observed.rate[base])
    fits = [calibrate.fit(engine.deployment, engine.priors, rows.load.rows(base), observed) for engine in engines]
    evidence = np.array([fit.evidence for fit in fits])
    likely = np.exp(evidence - evidence.max()) / np.exp(evidence - evidence.max()).sum()
    best = int(np.argmax(likely))
    predicted, gains = _predicted(rows, engines, fits, likely, seed, worlds, place)
    naive = _naive(rows, engines)
    return Compared(
        _predictions(rows, predicted, naive, fits[best].discrepancy),
        _choices(rows, gains, naive),
        _terms(engines[best], fits[best], float(likely[best])),
    )


def _rows(table: pl.DataFrame) -> _Rows:
    numbers = (*measured.COUNTS, *measured.NUMBERS)
    column = {name: table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in numbers}
    load = Load(
        column["concurrency"],
        column["draft_length"],
        column["tokens_per_step"],
        column["prompt_tokens"],
        column["output_tokens"],
    )
    observed = Observed(column["step_seconds"], column["seconds_per_token"], column["tokens_per_second"])
    drafted = np.flatnonzero(load.draft_length > 0)
    same = (load.sequences[drafted][:, None] == load.sequences) & (load.draft_length == 0)
    return _Rows(load, observed, column["tokens_per_step_error"], drafted, np.argmax(same, axis=1))


def _predicted(
    rows: _Rows,
    engines: tuple[Engine, ...],
    fits: list[Posterior],
    likely: Floats,
    seed: int,
    worlds: int,
    place: int,
) -> tuple[dict[str, Floats], Floats]:
    """Each quantity [worlds, drafted rows], and the gains without the discrepancy, for choosing."""
    random = generator(seed, place, Stream.PRICES, step=1)
    text = random.standard_normal((worlds, 1))  # one text, one error for all its rows
    noise = random.standard_normal((len(QUANTITIES), worlds, len(rows.drafted)))
    accepted = (rows.load.tokens_per_step - 1)[rows.drafted] * np.exp(rows.given[rows.drafted] * text)
    emitted = np.minimum(1 + accepted, 1 + rows.load.draft_length[rows.drafted])
    engine_of = np.searchsorted(np.cumsum(likely)[:-1], (np.arange(worlds) + 0.5) / worlds)
    found = np.empty((len(QUANTITIES), worlds, len(rows.drafted)))
    gains = np.empty(found.shape[1:])
    for which in np.unique(engine_of):
        mine = np.flatnonzero(engine_of == which)
        fit, given = fits[which], engines[which].deployment
        terms = [fit.draw(seed, int(world)) for world in mine]
        after = forward.times(given, replace(rows.load.rows(rows.drafted), tokens_per_step=emitted[mine]), terms)
        before = forward.times(given, rows.load.rows(rows.partner), terms)
        gains[mine] = after.rate / before.rate
        for i, (quantity, values) in enumerate(_quantities(after, before).items()):
            two = np.sqrt(2) if quantity in scores.RATIOS else 1.0
            found[i, mine] = values * np.exp(two * fit.discrepancy * noise[i, mine])
    return dict(zip(QUANTITIES, found, strict=True)), gains


def _quantities(after: Times, before: Times) -> dict[str, Floats]:
    values = (after.step / before.step, after.rate / before.rate, after.token)
    return dict(zip(QUANTITIES, values, strict=True))


def _naive(rows: _Rows, engines: tuple[Engine, ...]) -> dict[str, dict[str, Floats]]:
    """What the naive predictors say of each quantity [drafted rows].

    roofline: ideal prices, i.i.d. uniform routing, the median over hardware where it was not said.
    tokens_only: a step costs the same whatever is drafted, so tokens per step are the gain.
    """
    every = []
    for engine in engines:
        moe, given = engine.deployment.target.moe, engine.deployment
        plain = replace(given, overlap=Overlap.uniform(moe.experts, moe.top_k) if moe else None)
        after, before = (forward.times(plain, rows.load.rows(at), None) for at in (rows.drafted, rows.partner))
        every.append(_quantities(after, before))
    emitted = rows.load.tokens_per_step[rows.drafted]
    tokens = (np.ones_like(emitted), emitted, rows.observed.token[rows.partner] / emitted)
    return {
        "roofline": {quantity: np.median([each[quantity][0] for each in every], axis=0) for quantity in QUANTITIES},
        "tokens_only": dict(zip(QUANTITIES, tokens, strict=True)),
    }


def _measured(rows: _Rows) -> dict[str, Floats]:
    """What was measured of each quantity [drafted rows], NaN where nothing was.

    Where steps were not timed, no prompt is known and tokens per step were counted in the same run, the step ratio
    follows from throughputs, which then say nothing more: T X(0) / X(k).
    """
    seen, at, beside = rows.observed, rows.drafted, rows.partner
    steps, gains = seen.step[at] / seen.step[beside], seen.rate[at] / seen.rate[beside]
    from_rate = np.isnan(steps) & np.isnan(rows.load.prompt[at]) & (rows.given[at] == 0) & np.isnan(seen.token[at])
    ratio = np.where(from_rate, rows.load.tokens_per_step[at] / gains, steps)
    return dict(zip(QUANTITIES, (ratio, np.where(from_rate, np.nan, gains), seen.token[at]), strict=True))


def _predictions(
    rows: _Rows, predicted: dict[str, Floats], naive: dict[str, dict[str, Floats]], discrepancy: float
) -> list[dict[str, Any]]:
    found = []
    for quantity, values in _measured(rows).items():
        low, middle, high = np.quantile(
            predicted[quantity], [(1 - scores.LEVEL) / 2, 0.5, (1 + scores.LEVEL) / 2], axis=0
        )
        for i in np.flatnonzero(~np.isnan(values)):
            row = rows.drafted[i]
            found.append(
                {
                    "batch": int(rows.load.sequences[row]),
                    "draft_length": int(rows.load.draft_length[row]),
                    "tokens_per_step": rows.load.tokens_per_step[row],
                    "quantity": quantity,
                    "measured": values[i],
                    "predicted": middle[i],
                    "predicted_p05": low[i],
                    "predicted_p95": high[i],
                    "error": middle[i] / values[i] - 1,
                    "covered": bool(low[i] <= values[i] <= high[i]),
                    "discrepancy": discrepancy,
                    **{name: of[quantity][i] for name, of in naive.items()},
                }
            )
    return found


def _choices(rows: _Rows, gains: Floats, naive: dict[str, dict[str, Floats]]) -> list[dict[str, Any]]:
    """At each concurrency: the length that was fastest, those that predictors choose, and the throughput lost."""
    seen, at, beside = rows.observed, rows.drafted, rows.partner
    true = seen.rate[at] / seen.rate[beside]
    true = np.where(np.isnan(true), seen.token[beside] / seen.token[at], true)
    true = np.where(np.isnan(true), rows.load.tokens_per_step[at] * seen.step[beside] / seen.step[at], true)
    says = {"predicted": np.median(gains, axis=0)} | {name: of["throughput gain"] for name, of in naive.items()}
    found = []
    for batch in np.unique(rows.load.sequences[at]):
        here = np.flatnonzero(rows.load.sequences[at] == batch)
        lengths = np.concatenate([[0], rows.load.draft_length[at][here]]).astype(int)
        reached = np.concatenate([[1.0], true[here]])
        row: dict[str, Any] = {"batch": int(batch), "measured_best": int(lengths[np.argmax(reached)])}
        row["undrafted_rate_lost"] = 1 - 1 / reached.max()
        for name, values in says.items():
            chosen = int(np.argmax(np.concatenate([[1.0], values[here]])))
            row[f"{name}_best"] = int(lengths[chosen])
            lost = 1 - reached[chosen] / reached.max()
            row["rate_lost" if name == "predicted" else f"{name}_rate_lost"] = lost
        found.append(row)
    return found


def _terms(engine: Engine, fit: Posterior, likelihood: float) -> list[dict[str, Any]]:
    before, after = engine.priors.median(), fit.priors.at(fit.normals)
    said = {"hardware": engine.hardware, "devices": engine.devices, "likelihood": likelihood}
    return [
        said | {"term": name, "prior": getattr(before, name), "median": getattr(after, name), "kept": float(kept)}
        for name, kept in zip(NAMES, fit.kept, strict=True)
    ]
