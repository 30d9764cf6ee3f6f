"""Profiles: fitted processes as readable TOML files, shipped here or written by the user.

A profile says where its numbers come from (`source`) and where they stop (`limits`). Kinds:

    routing      experts, top_k, popularity, topics, sections and stickiness by layer (traces/routing_profile.py)
    acceptance   survival or hazard by depth; or survival_by_length, a table of survival for each draft length that was
                 run: block drafters have a law of their own for every block size, and a chain's position 1 falls
    overlap      experts, top_k, popularity by rank, and distinct experts by window: for prices in closed form
    difficulty   acceptance whose difficulty moves along the text: traces/profiles/difficulty.py

Of any kind, a profile that `draftodds trace fit` wrote also says how well it is known (traces/evidence.py).
"""

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from montecarlo.acceptance import Acceptance
from montecarlo.errors import InputError, whole
from montecarlo.exact import mean_distinct
from montecarlo.overlap import Overlap
from montecarlo.routing import Routing
from traces import evidence, routing_profile, toml
from traces.profiles import difficulty

KEYS = {
    "routing": routing_profile.KEYS,
    "acceptance": {"survival", "hazard", "survival_by_length"},
    "overlap": {"experts", "top_k", "windows", "distinct", "popularity"},
    "difficulty": difficulty.KEYS,
}
WORDS = {"kind", "id", "title", "source", "limits"}


@dataclass(frozen=True)
class Profile:
    """One profile as read: its kind and words, and its numbers under their own names."""

    kind: str
    id: str
    title: str
    source: str
    limits: str
    numbers: dict[str, Any]


def shipped() -> list[str]:
    """Ids of the profiles that come with the package."""
    return sorted(
        file.name.removesuffix(".toml") for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")
    )


def load(name: str) -> Profile:
    """The profile of a shipped id, or of a path to a TOML file; raises InputError for what is neither."""
    if name in shipped():
        read = tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))
    elif name.endswith(".toml"):
        read = toml.read(Path(name), "profile")
    else:
        raise InputError(f"{name!r} is no profile; shipped: {', '.join(shipped())}; or give a path to a .toml file")
    kind = read.get("kind")
    if not isinstance(kind, str) or kind not in KEYS:
        raise InputError(f"profile {name} has kind {kind!r}; allowed: {', '.join(KEYS)}")
    unknown = set(read) - KEYS[kind] - WORDS - evidence.KEYS
    if unknown:
        raise InputError(
            f"profile {name} has unknown keys {', '.join(sorted(unknown))}; "
            f"allowed: {', '.join(sorted(KEYS[kind] | WORDS))}"
        )
    words = {word: " ".join(str(read.get(word, "")).split()) for word in ("title", "source", "limits")}
    return Profile(kind, str(read.get("id", name)), **words, numbers={k: v for k, v in read.items() if k in KEYS[kind]})


def digest(name: str) -> str:
    """SHA-256 of the profile's file, in hexadecimal."""
    file = resources.files(__name__).joinpath(f"{name}.toml") if name in shipped() else Path(name)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def acceptance(profile: Profile) -> Acceptance:
    """The acceptance by depth of an acceptance profile; InputError for a law that is none."""
    try:
        numbers = dict(profile.numbers)
        if "survival_by_length" in numbers:
            runs = _runs(numbers.pop("survival_by_length"))
            if numbers:
                raise InputError(f"survival_by_length stands alone; leave out {', '.join(numbers)}")
            return Acceptance.by_length(runs)
        return Acceptance.of(survival=numbers.get("survival"), hazard=numbers.get("hazard"))
    except InputError as error:
        raise InputError(f"profile {profile.id}: {error}") from error


def _runs(table: object) -> dict[int, list[float]]:
    """Survival by draft length, its keys as numbers; a law has at most as many depths as were drafted."""
    given = table if isinstance(table, dict) else {}
    wrong = [
        key for key, law in given.items() if not (key.isdecimal() and isinstance(law, list) and len(law) <= int(key))
    ]
    if wrong or not given:
        raise InputError(
            f"survival_by_length has faults at {', '.join(wrong) or 'its top'}; it is a table of draft length = "
            "survival, a list of at most as many depths"
        )
    for key, law in given.items():
        try:
            Acceptance.of(survival=law)
        except InputError as error:
            raise InputError(f"at draft length {key}, {error}") from error
    return {int(key): law for key, law in given.items()}


def routing(profile: Profile, *, layers: int, experts: int, top_k: int) -> Routing:
    """The routing of a profile on a model of `layers` MoE layers, `experts` and `top_k`: traces/routing_profile.py."""
    return routing_profile.process(profile.id, profile.numbers, layers=layers, experts=experts, top_k=top_k)


def overlap(profile: Profile, *, experts: int, top_k: int) -> Overlap:
    """The overlap of a profile on a model of `experts` and `top_k`: its ratios of measured to uniform are kept."""
    numbers = profile.numbers
    try:
        own = [whole(f"profile {profile.id}: {name}", numbers[name]) for name in ("experts", "top_k")]
        windows, distinct = (np.asarray(numbers[name], np.float64) for name in ("windows", "distinct"))
        popularity = np.asarray(numbers["popularity"], np.float64)
        ratio = distinct / mean_distinct(own[0], own[1], windows)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"profile {profile.id} needs experts, top_k, and the lists windows, distinct and popularity: {error}"
        ) from error
    try:
        return Overlap.of(experts=experts, top_k=top_k, popularity=popularity, windows=windows, ratio=ratio)
    except InputError as error:
        raise InputError(f"profile {profile.id}: {error}") from error
