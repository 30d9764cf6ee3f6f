"""A routing profile: fitted routing as a readable TOML file, and the process of one on any model.

    experts, top_k      the model it was fitted on
    shares | skew       per layer, the share of all choices of each expert by rank [%]; or popularity ~ rank^skew
    concentration, background, section_concentration, stickiness    per layer; section_tokens: one number
    standard_errors     of these, in the same units (nan: at its bound, where there is none)
    correlation         names, matrix: of the estimates of one layer, mean over layers

Carried over to another model (a stated assumption): layers by relative depth; the weights that give the shares on
the model they were measured on, by relative rank (their logarithm interpolated); concentrations per expert;
the rest as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tomlkit

from montecarlo import exact
from montecarlo.errors import InputError, whole
from montecarlo.routing import Routing
from traces.fit import power_popularity
from traces.fit_routing import NAMES, Fit

BY_LAYER = {"concentration": np.inf, "background": 0.0, "section_concentration": np.inf, "stickiness": 0.0}
KEYS = {"experts", "top_k", "shares", "skew", "section_tokens", "standard_errors", "correlation", *BY_LAYER}


def process(name: str, numbers: Mapping[str, Any], *, layers: int, experts: int, top_k: int) -> Routing:
    """The routing of profile `name` on a model of `layers` MoE layers, `experts` and `top_k`; raises InputError."""
    try:
        own = whole(f"profile {name}: experts", numbers["experts"])
        popularity = "skew" if "skew" in numbers else "shares"
        given = np.atleast_1d(np.asarray(numbers[popularity], np.float64))
        columns = {
            part: np.atleast_1d(np.asarray(numbers.get(part, np.full(len(given), absent)), np.float64))
            for part, absent in BY_LAYER.items()
        }
        section_tokens = float(numbers.get("section_tokens", np.inf))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"profile {name} needs experts (a number), and skew (a number per layer) or shares (a list per layer): "
            f"{error}"
        ) from error
    if {"skew", "shares"} <= set(numbers):
        raise InputError(f"profile {name} has both skew and shares; one of them says what the popularity is")
    if len(given) == 0 or any(column.shape != (len(given),) for column in columns.values()):
        raise InputError(f"profile {name}: {popularity}, {', '.join(BY_LAYER)} must be lists of the same length")
    if np.any(np.isfinite(columns["section_concentration"])) and "section_tokens" not in numbers:
        raise InputError(f"profile {name} has section_concentration and no section_tokens")
    nearest = np.minimum((np.arange(layers) + 0.5) / layers * len(given), len(given) - 1).astype(int)
    if popularity == "skew":
        if given.ndim != 1 or not np.all(np.isfinite(given)) or given.min() < 0:
            raise InputError(f"profile {name}: skew must be 0 or more, a number per layer")
        weights = np.stack([power_popularity(skew, experts) for skew in given])
    else:
        weights = _carried(name, given, whole(f"profile {name}: top_k", numbers.get("top_k")), own, experts)
    try:
        return Routing.of(
            popularity=weights[nearest],
            top_k=top_k,
            concentration=columns["concentration"][nearest] * (experts / own),
            background=columns["background"][nearest],
            section_concentration=columns["section_concentration"][nearest] * (experts / own),
            section_tokens=section_tokens,
            stickiness=columns["stickiness"][nearest],
        )
    except InputError as error:
        raise InputError(f"profile {name}: {error}") from error


def _carried(name: str, shares: np.ndarray, top_k: int, own: int, experts: int) -> np.ndarray:
    """Weights [layers, experts] of shares [layers, own] by rank."""
    if shares.ndim != 2 or shares.shape[1] != own or not np.all(np.isfinite(shares)):
        raise InputError(f"profile {name}: shares must be a list of {own} numbers per layer")
    try:
        weights = np.sort(exact.weights(shares, top_k))[:, ::-1]
    except InputError as error:
        raise InputError(f"profile {name}: {error}") from error
    if experts == own:
        return weights
    at, to = (np.arange(own) + 0.5) / own, (np.arange(experts) + 0.5) / experts
    return np.exp([np.interp(to, at, row) for row in np.log(weights)])


def document(fit: Fit, *, id: str, title: str, source: str, limits: str) -> str:
    """The TOML of a fit: what `traces.profiles.load` reads."""
    _, topic, background, section, sticky = fit.parameters.layer.T  # the tilt is the simulation's noise in its load
    error, tokens_error = fit.errors
    routing = fit.parameters.routing
    found = [exact.inclusion(one, routing.top_k) for one in fit.parameters.weights]  # all layers at once take 1.5 GB
    shares = np.sort(np.stack(found))[:, ::-1] / routing.top_k
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "concentration": (1 / topic - 1, error[:, 1] / topic**2),
            "background": (background, np.where(background > 0, error[:, 2], np.nan)),
            "section_concentration": (1 / section - 1, np.where(section > 0, error[:, 3] / section**2, np.nan)),
            "stickiness": (sticky, np.where(sticky > 0, error[:, 4], np.nan)),
        }
    digits = {"concentration": 1, "background": 3, "section_concentration": 1, "stickiness": 3}
    said = {
        "concentration": "of a request's own popularity around the overall one",
        "background": "share of draws from the overall popularity, whatever the topic",
        "section_concentration": "of the popularity of a section of the text around its request's",
        "stickiness": "probability that a slot keeps the previous token's expert",
    }
    said_of = {"id": tomlkit.string(id), "title": tomlkit.string(title)}
    for key, words in {"source": source, "limits": limits}.items():
        said_of[key] = tomlkit.string(f"\n{words.strip()}\n", multiline=True)
    lines = ['kind = "routing"', *(f"{key} = {words.as_string()}" for key, words in said_of.items())]
    lines += ["# the model it was fitted on", f"experts = {routing.accept.shape[1]}"]
    lines += [f"top_k = {routing.top_k}", "", "# mean tokens of a section"]
    lines += [f"section_tokens = {fit.parameters.section_tokens:.2f}"]
    for name, (value, _) in values.items():
        lines += [f"# {said[name]}, per layer", _rows(name, value, digits[name])]
    lines += ["", "# share of all choices by expert, ranked, per layer [%]", "shares = ["]
    lines += ["  [" + _numbers(100 * row, 3) + "]," for row in shares] + ["]", "", "[standard_errors]"]
    lines += [f"section_tokens = {tokens_error * fit.parameters.section_tokens:.2f}"]
    lines += [_rows(name, wrong, digits[name]) for name, (_, wrong) in values.items()]
    lines += ["", "[correlation]", "names = [" + ", ".join(f'"{name}"' for name in values) + "]", "matrix = ["]
    lines += ["  [" + _numbers(row, 2) + "]," for row in correlation(fit)] + ["]"]
    return "\n".join(lines) + "\n"


def correlation(fit: Fit) -> np.ndarray:
    """Correlation of the estimates BY_LAYER of one layer [4, 4], mean over layers where both are within their range.

    What is 0 is at the end of its range; nan where no layer has both.
    """
    layers = len(fit.parameters.layer)
    blocks = fit.covariance[:-1, :-1].reshape(layers, len(NAMES), layers, len(NAMES))
    own = blocks[np.arange(layers), 1:, np.arange(layers), 1:]
    error = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    error = np.where((fit.parameters.layer[:, 1:] > 0) & (error > 0), error, np.nan)
    sign = np.array([-1, 1, -1, 1])  # the fit's topic and section fall with the concentrations
    each = own * np.outer(sign, sign) / (error[:, :, None] * error[:, None])
    known = np.isfinite(each)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, each, 0.0).sum(axis=0) / known.sum(axis=0))


def _numbers(values: Iterable[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _rows(name: str, values: np.ndarray, digits: int) -> str:
    rows = [f"  {_numbers(values[low : low + 8], digits)}," for low in range(0, len(values), 8)]
    return "\n".join([f"{name} = [", *rows, "]"])
