"""Profiles of kind `difficulty`: a fitted process of acceptance beyond depth, as TOML, read and written.

offsets [depths]                                    logits by depth, at average difficulty
fall                                                logits lost for each depth past the last known; 0 if left out
request_sd, short_sd, slow_sd                       logits
short_tokens, slow_tokens                           time scales, in tokens of text
length_slope, typical_tokens                        of the traffic: traces/fit_acceptance.py
[standard_errors]                                   by name, offset_1 .. ; of time scales, of their logarithm.
                                                    What has none was not determined by the data
[correlation] names, matrix                         of the estimates
"""

from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from montecarlo.difficulty import Difficulty
from montecarlo.errors import InputError
from traces.fit_acceptance import Fit
from traces.fit_curve import NAMES, Floats

SCALARS = ("request_sd", "short_sd", "short_tokens", "slow_sd", "slow_tokens", "fall")
KEYS = {"offsets", *SCALARS, "length_slope", "typical_tokens", "standard_errors", "correlation"}


def process(numbers: dict[str, Any], name: str) -> Difficulty:
    """The process of a profile's numbers; raises InputError, naming the profile, for what is missing or no number."""
    if "offsets" not in numbers:
        raise InputError(f"profile {name} needs offsets, a list of logits by depth")
    wrong = [key for key in SCALARS if isinstance(numbers.get(key, 0.0), bool) or not _is_number(numbers.get(key, 0.0))]
    if wrong:
        raise InputError(f"profile {name}: {', '.join(wrong)} must be numbers")
    try:
        return Difficulty.of(numbers["offsets"], **{key: float(numbers[key]) for key in SCALARS if key in numbers})
    except InputError as error:
        raise InputError(f"profile {name}: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def toml(fit: Fit, *, id: str, title: str, source: str, limits: str, fall: float = 0.0) -> str:
    """The profile of a fit, to be written to a file; figures are rounded to what their errors leave."""
    error = np.sqrt(np.diag(fit.sandwich))
    known = np.flatnonzero(np.isfinite(error))
    names = [fit.names[i] for i in known]
    correlation = fit.correlation[np.ix_(known, known)]
    document = _words(id, title, source, limits) | _numbers(fit.process)
    document |= {
        "fall": round(fall, 3),
        "length_slope": round(fit.length_slope, 3),
        "typical_tokens": round(fit.typical_tokens, 1),
    }
    return _dumped(document, names, error[known], correlation)


def toml_of_curve(fitted: tuple[Difficulty, Floats, Floats], *, id: str, title: str, source: str, limits: str) -> str:
    """The profile of a fit to tokens per step, as `fit_curve.posterior` gives it; errors are posterior deviations."""
    process, error, correlation = fitted
    return _dumped(_words(id, title, source, limits) | _numbers(process), list(NAMES), error, correlation)


def _words(id: str, title: str, source: str, limits: str) -> dict[str, Any]:
    texts = {"source": source, "limits": limits}
    long = {key: tomlkit.string(f"{text.strip()}\n", multiline=True) for key, text in texts.items()}
    return {"kind": "difficulty", "id": id, "title": title, **long}


def _numbers(process: Difficulty) -> dict[str, Any]:
    offsets = [round(float(value), 3) for value in process.offsets]
    return {"offsets": offsets, **{key: round(float(getattr(process, key)), 3) for key in SCALARS}}


def _dumped(document: dict[str, Any], names: list[str], error: Floats, correlation: Floats) -> str:
    whole = tomlkit.document()
    whole.update(document)
    whole["standard_errors"] = {name: round(float(one), 3) for name, one in zip(names, error, strict=True)}
    matrix = tomlkit.array()
    for row in correlation:
        matrix.add_line([round(float(value), 2) for value in row])
    matrix.add_line(indent="")
    table = tomlkit.table()
    table["names"] = names
    table["matrix"] = matrix
    whole["correlation"] = table
    return tomlkit.dumps(whole)


def write(path: Path, text: str) -> None:
    """Write a profile where there is none yet; raises InputError where there is."""
    if path.exists():
        raise InputError(f"profile {path} is there already; give another path")
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, "utf-8")
    beside.replace(path)
