"""The configuration of a study: its keys, what they may be, and how files and --set become one.

pydantic checks shape and spelling; what the numbers may be physically is checked by the `of` of the thing
they build (studies/scenario.py). A resolved configuration names everything and reads back as it was written.
"""

import difflib
import hashlib
import json
import os
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from montecarlo.errors import InputError
from montecarlo.roofline import TERMS
from traces import toml

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
CONTEXTS = [4096]
LENGTHS = {name: list(range(9)) for name in ("optimal-k", "stress", "sensitivity", "frontier")}
LENGTHS |= {"economics": list(range(65))}
EXACT = ("economics", "frontier")  # studies in closed form, which sample nothing
ALIASES = {"num_speculative_tokens": "draft_length"}
GRID_KEYS = {"batch", "context_tokens", "draft_length"}
LONGEST_DRAFT = 64
# Keys that one study alone understands.
ONLY = {
    "prompt_tokens": "optimal-k",
    "output_tokens": "optimal-k",
    "prefill": "optimal-k",
    "prefill_tokens": "optimal-k",
    "terms": "economics",
    "dollars_per_device_hour": "frontier",
    "seconds_per_token": "frontier",
    "measured": "validate",
}


def _grid(value: Any) -> Any:
    return sorted(set(value)) if isinstance(value, list) and all(isinstance(v, int) for v in value) else value


def _acceptance(value: Any) -> Any:
    """A probability, survival by depth, {hazard = [...]} or a name; anything else is refused in one line."""
    if isinstance(value, dict):
        if not set(value) <= {"hazard", "survival"} or not all(isinstance(by, list) for by in value.values()):
            raise ValueError("a table takes survival or hazard, a list by depth, as in {hazard = [0.7, 0.6]}")
        numbers = [number for by_depth in value.values() for number in by_depth]
    else:
        numbers = value if isinstance(value, list) else [] if isinstance(value, str) else [value]
    if any(isinstance(number, bool) or not isinstance(number, int | float | None) for number in numbers):
        raise ValueError("a probability, a list of them (survival by depth), {hazard = [...]} or a profile is allowed")
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


Whole = Annotated[int, Field(strict=True, le=10**9)]
Grid = Annotated[list[Whole], BeforeValidator(_grid), BeforeValidator(_one_or_more), Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Scenario(_Strict):
    """One deployment: what is priced, on what, with which traffic. None means the target's default."""

    name: str = ""
    target: str = "gpt-oss-120b"
    hardware: str = "h200-sxm"
    devices: Literal[1] = 1
    tp: Literal[1] = 1
    ep: Literal[1] = 1
    drafter: str | None = None
    prices: str = "achieved"
    weight_format: str | None = None
    expert_format: str | None = None
    kv_format: str | None = None
    activation_format: str | None = None
    drafter_format: str | None = None
    mla_form: str | None = None
    index_spread: float | None = None
    rollback: str | None = None
    routing: str | None = None
    acceptance: Annotated[
        float | list[float] | dict[Literal["hazard", "survival"], list[float]] | str | None,
        BeforeValidator(_acceptance),
    ] = None
    tail: Literal["request", "text", "anywhere"] = "request"
    batch: Annotated[Grid, Field()] | None = None
    context_tokens: Grid = CONTEXTS
    draft_length: Annotated[Grid, Field()] | None = None
    prompt_tokens: Annotated[Grid, Field()] | None = None
    output_tokens: Annotated[Whole, Field(ge=2)] | None = None
    prefill: Literal["chunked", "disaggregated"] | None = None
    prefill_tokens: Annotated[Whole, Field(ge=1)] | None = None
    terms: Annotated[list[Literal[TERMS]], Field(min_length=1)] | None = None  # type: ignore[valid-type]
    dollars_per_device_hour: Annotated[float, Field(gt=0)] | None = None
    seconds_per_token: Annotated[float, Field(gt=0)] | None = None
    measured: str | None = None


class Study(_Strict):
    """A study's configuration: scenarios and how hard to work. `error` [%] replaces `worlds` when given."""

    worlds: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] = 96
    world_requests: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 512
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    error: Annotated[float, Field(gt=0, le=100)] | None = None
    trace: str | None = None
    trace_sha256: str | None = None
    scenario: Annotated[list[Scenario], Field(min_length=1)]


STUDY_KEYS = set(Study.model_fields) - {"scenario", "trace_sha256"}
SCENARIO_KEYS = set(Scenario.model_fields)
DEPLOYMENT = {"target", "hardware", "devices", "tp", "ep", "prices", "mla_form", "index_spread", "rollback"}
DEPLOYMENT |= {key for key in SCENARIO_KEYS if key.endswith("_format")}


def default(study: str) -> dict[str, Any]:
    """What a study does when it is told nothing, as a plain dictionary; `own`: what a scenario of one's own has."""
    return tomllib.loads(resources.files("studies").joinpath(f"defaults/{study}.toml").read_text("utf-8"))


def parse_set(given: str) -> tuple[str, Any]:
    """`key=value` with a TOML value; a bare word is a string."""
    key, equals, text = given.partition("=")
    key = ALIASES.get(key.strip(), key.strip())
    if not equals:
        raise InputError(f"--set takes key=value, not {given!r}")
    _known(key, STUDY_KEYS | SCENARIO_KEYS)
    try:
        parsed = tomllib.loads(f"value = {text.strip()}")
    except tomllib.TOMLDecodeError as error:
        if re.match(r"[\[{\"'\d+-]|\.\d", text.strip()):
            hint = (
                "a list is [0.8, 0.5]"
                if re.match(r"[\d.]+\s*,", text.strip())
                else "write 0.5, not .5; {hazard = [0.5]}"
            )
            raise InputError(f"--set {key}: {text.strip()} is not a TOML value ({error}); {hint}") from error
        return key, text.strip()
    if len(parsed) > 1:
        raise InputError(f"--set takes one key=value, not {given!r}")
    return key, parsed["value"]


def _known(key: str, allowed: set[str]) -> None:
    if key not in allowed:
        near = difflib.get_close_matches(key, sorted(allowed | set(ALIASES)), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown key {key!r}; {hint}allowed: {', '.join(sorted(allowed))}")


def read(path: Path, study: str) -> dict[str, Any]:
    """A configuration file as a dictionary, its keys checked; top-level scenario keys hold for all scenarios."""
    given = _one_name(toml.read(path, "configuration"))
    written = given.pop("study", study)
    if written != study:
        raise InputError(f"configuration {path} is of the study {written!r}, not of {study}")
    for key in given:
        _known(key, STUDY_KEYS | SCENARIO_KEYS | {"scenario", "trace_sha256"})
    scenarios = given.get("scenario", [{}])
    if not isinstance(scenarios, list) or not all(isinstance(scenario, dict) for scenario in scenarios):
        raise InputError(f"configuration {path}: scenario must be tables, each written [[scenario]]")
    shared = {key: given.pop(key) for key in list(given) if key in SCENARIO_KEYS}
    named = [_one_name(scenario) for scenario in scenarios]
    for scenario in named:
        for key in scenario:
            _known(key, SCENARIO_KEYS)
    given["scenario"] = [shared | scenario for scenario in named]
    return given


def _one_name(given: dict[str, Any]) -> dict[str, Any]:
    """Aliases replaced by the keys they stand for; both at once are refused."""
    for alias, key in ALIASES.items():
        if alias in given and key in given:
            raise InputError(f"{key} and its other name {alias} are both given; give one of them")
    return {ALIASES.get(key, key): value for key, value in given.items()}


def resolve(study: str, path: Path | None, sets: list[str], overrides: dict[str, Any]) -> Study:
    """The configuration that a file (None: the study's default), --set and other options ask for, checked.

    Without a file, naming a deployment asks for one scenario of one's own instead of the default's: anything but
    grids for a sampled study, a target, a device, prices, formats or layers for the studies in closed form.
    """
    chosen = dict(parse_set(text) for text in sets)
    options = {key: value for key, value in overrides.items() if value is not None}
    for one, other in (("worlds", "error"), ("error", "worlds")):
        if one in options:
            chosen.pop(other, None)
    chosen |= options
    scenario = {key: value for key, value in chosen.items() if key in SCENARIO_KEYS}
    shared = {name: SCENARIO_KEYS - DEPLOYMENT for name in (*EXACT, "stress")} | {
        "validate": SCENARIO_KEYS - {"measured"}
    }
    own = scenario.keys() - shared.get(study, GRID_KEYS)
    base = read(path, study) if path else default(study)
    start = base.pop("own", {})
    if not path and (own or "trace" in chosen):
        base["scenario"] = [start]
    if "worlds" in chosen and "error" not in chosen:
        base.pop("error", None)
    base |= {key: value for key, value in chosen.items() if key in STUDY_KEYS}
    base["scenario"] = [given | scenario for given in base["scenario"]]
    for key, only in ONLY.items():
        if only != study and any(given.get(key) is not None for given in base["scenario"]):
            raise InputError(f"{key} is a key of the study {only}; {study} has no use for it")
    return validated(base)


def validated(given: dict[str, Any]) -> Study:
    """The study of a plain dictionary; raises InputError with all its faults in one line."""
    try:
        return Study.model_validate(given)
    except ValidationError as error:
        raise InputError(_one_line(error)) from error


def _one_line(error: ValidationError) -> str:
    faults: dict[str, str] = {}
    for fault in error.errors():
        places = [str(part) for part in fault["loc"] if isinstance(part, str) and "[" not in part]
        names = [place for place in places if place in STUDY_KEYS | SCENARIO_KEYS]
        key = names[-1] if names else ".".join(places)
        if key in faults:
            continue
        shown = json.dumps(fault["input"], default=str)[:80]
        if key in ("devices", "tp", "ep"):
            message = "more than one device is not built yet; allowed: 1"
        else:
            message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        faults[key] = f"{key} = {shown}: {message}"
    return "; ".join(faults.values())


def to_toml(study: str, resolved: Study) -> str:
    """The resolved configuration as TOML that `read` takes back."""
    content = {"study": study} | resolved.model_dump(mode="json", exclude_none=True)
    return tomlkit.dumps(content)


def digest(study: str, resolved: Study, versions: dict[str, str]) -> str:
    """What makes two runs the same: SHA-256 of the resolved configuration, of the user's own files that it names,
    and of the versions that compute.
    """
    named = {str(v) for scenario in resolved.scenario for v in scenario.model_dump().values() if isinstance(v, str)}
    files = {
        name: Path(name).read_text("utf-8")
        for name in named
        if name.endswith((".toml", ".csv")) and os.path.isfile(name)
    }
    plain = resolved.model_dump(mode="json", exclude={"trace"})
    content = json.dumps([study, plain, files, versions], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
