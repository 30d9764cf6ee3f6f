"""From the words of a configuration to prices, routing and acceptance; ids that are none are refused by name.

Every function adds the assumptions it makes to `notes`, a sentence each.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from montecarlo import post
from montecarlo.acceptance import Acceptance
from montecarlo.achieved import Achieved
from montecarlo.compressed import Compressed
from montecarlo.cost import Ideal
from montecarlo.difficulty import Difficulty
from montecarlo.drafter import Block, Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.memory import weight_bytes
from montecarlo.post import Post
from montecarlo.routing import Routing
from studies import catalog, config, drafters, layers, prices
from studies.prices import Priors
from traces import by_depth, profiles, replay

DEFAULTS = {"drafter": "fraction:0.10", "acceptance": 0.75}  # the post's, where a target names none


@dataclass(frozen=True)
class Priced:
    """A price list (at the medians of its `priors`, if any), and the shape of routing; 0 experts: a dense target."""

    prices: Ideal | Post
    priors: Priors | None
    layers: int
    experts: int
    top_k: int


def priced(given: config.Scenario, notes: list[str]) -> Priced:
    """The price list of a scenario, and what it is for."""
    drafter, deepest = str(given.drafter), max(given.draft_length or [0])
    if given.prices == "post":
        if given.target != "deepseek-v4-flash" or given.hardware != "b200-sxm":
            raise InputError(
                "prices = post is the post's formula for deepseek-v4-flash on b200-sxm, "
                f"not for {given.target} on {given.hardware}"
            )
        asked = [*layers.named(given), *(["drafter_format"] if given.drafter_format is not None else [])]
        if asked:
            raise InputError(f"prices = post knows its own formats and layers only; leave out {', '.join(asked)}")
        flat = drafters.flat(drafter)
        if flat is None:
            raise InputError(
                f"prices = post takes a drafter of a fixed fraction (fraction:0.10 or free), not {drafter!r}"
            )
        notes.append(
            "Prices are the post's chart formula: no LM head, no memory limit, plain MLA over the whole context."
        )
        return Priced(Post(flat), None, post.POST.layers, post.POST.experts, post.POST.top_k)
    if given.prices not in ("achieved", "ideal") and not given.prices.endswith(".toml"):
        raise catalog.refuse("prices", given.prices, ["achieved", "ideal", "post", "a path to a .toml file"])
    target, hardware = layers.as_asked(catalog.target(given.target), given, notes), catalog.hardware(given.hardware)
    built = drafters.drafter(drafter, target, given.drafter_format)
    if isinstance(built, Eagle3):
        notes.append(
            "EAGLE-3 is derived from the target: one decoder layer at its width with 2H-wide attention inputs, "
            f"a dense layer {built.ffn.intermediate:,} wide, 3H to H fusion, the whole LM head in every pass."
        )
    if isinstance(built, Block):
        notes.append(
            f"The block drafter is derived from the target: {built.layers} decoder layers at its width, run once a "
            f"step over {built.block} tokens of every sequence, each through the LM head."
        )
        if deepest > built.block:
            raise InputError(
                f"draft_length goes to {deepest}, and drafter {drafter} drafts {built.block} tokens a step"
            )
    attention = None if isinstance(built, Flat) else (built.body if isinstance(built, Block) else built).attention
    if isinstance(attention, Compressed):
        notes.append(f"The drafter attends as the target's layers of ratio {attention.ratio} do.")
    if isinstance(built, Flat) and built.fraction > 0:
        notes.append(
            f"The drafter is assumed to cost {built.fraction:g} of an undrafted target step per drafted token"
            f"{_stand_in(given.target, 'drafter', given.drafter)}."
        )
    notes += layers.assumptions(target)
    weights = weight_bytes(target)
    if weights > hardware.memory:
        notes.append(
            f"Nothing fits: the weights alone are {weights / 1e9:,.0f} GB, the device holds "
            f"{hardware.memory / 1e9:,.0f} GB; "
            "store them smaller (expert_format, weight_format) or name another device."
        )
    moe = target.moe
    shape = (target.moe_layers, moe.experts, moe.top_k) if moe else (0, 0, 0)
    if given.prices == "ideal":
        return Priced(Ideal(target, hardware, built), None, *shape)
    if given.prices.endswith(".toml"):
        fitted = prices.read(Path(given.prices)).foreign(given.target, given.hardware)
        if fitted:
            here = f"{given.target} on {given.hardware}"
            notes.append(f"Prices were calibrated on {fitted} and are carried over to {here}.")
    priors = prices.load(given.prices, Path(given.hardware).stem, target.expert_format if moe else None)
    return Priced(Achieved(target, hardware, built, priors.median()), priors, *shape)


def routing(name: str, layers: int, experts: int, top_k: int, notes: list[str]) -> Routing:
    """Synthetic routing: uniform, or a profile carried over to this model."""
    if name == "uniform":
        return Routing.of(popularity=np.ones((layers, experts)), top_k=top_k)
    if name not in profiles.shipped() and not name.endswith(".toml"):
        routings = [p for p in profiles.shipped() if profiles.load(p).kind == "routing"]
        raise catalog.refuse("routing", name, ["uniform", "trace", *routings])
    profile = profiles.load(name)
    if profile.kind != "routing":
        raise InputError(f"profile {name} describes {profile.kind}, not routing")
    if (profile.numbers.get("experts"), profile.numbers.get("top_k")) != (experts, top_k):
        notes.append(
            f"Routing is carried over from {profile.title} ({profile.numbers.get('experts')} experts) "
            f"to {experts} experts: layers by relative depth, popularity by relative rank, concentrations per expert, "
            "the rest kept."
        )
    if profile.limits:
        notes.append(f"Routing profile {profile.id}: {profile.limits}")
    return profiles.routing(profile, layers=layers, experts=experts, top_k=top_k)


def _stand_in(target: str, key: str, given: Any) -> str:
    """Words for a value that the catalogue puts where a target has none of its own yet."""
    same = catalog.entry("target", target).get(key, DEFAULTS[key]) == given
    return f": the stand-in for a target without its own {key}; give yours with --set {key}=..." if same else ""


def acceptance(
    given: Any, target: str, deepest: int, notes: list[str], trace: str | None = None
) -> Acceptance | Difficulty:
    """A probability (i.i.d.), a list (survival by depth), {hazard = [...]}, a profile, or that of a trace folder."""
    law: Acceptance | Difficulty
    if given == "trace":
        if trace is None:
            raise InputError("acceptance = trace needs a trace; give it with --trace PATH")
        if "acceptance" not in replay.holds(Path(trace)):
            raise InputError(
                f"acceptance = trace: {trace} records no accepted drafts; name a probability, a list or a profile"
            )
        law, said = by_depth.acceptance(Path(trace))
        notes += said
    elif isinstance(given, str):
        if given not in profiles.shipped() and not given.endswith(".toml"):
            built = [p for p in profiles.shipped() if profiles.load(p).kind in ("acceptance", "difficulty")]
            raise catalog.refuse(
                "acceptance",
                given,
                [*built, "a probability", "a list (survival by depth)", "{hazard = [...]}"],
            )
        profile = profiles.load(given)
        if profile.kind not in ("acceptance", "difficulty"):
            raise InputError(f"profile {given} describes {profile.kind}, not acceptance")
        notes.append(f"Acceptance is carried over from {profile.title}.")
        if profile.kind == "difficulty":
            law = profiles.difficulty.process(profile.numbers, profile.id)
        else:
            law = profiles.acceptance(profile)
    elif isinstance(given, dict):
        law = Acceptance.of(**given)
    elif isinstance(given, list):
        law = Acceptance.of(survival=given)
    else:
        law = Acceptance.iid(float(given))
        stand_in = _stand_in(target, "acceptance", given)
        notes.append(f"Acceptance is i.i.d. with probability {float(given):g} at every depth{stand_in}.")
    if isinstance(law, Acceptance) and law.runs:
        notes.append(
            f"Acceptance differs by draft length (runs at {', '.join(str(length) for length, _ in law.runs)}): tokens "
            "per step are those of the run at the length, or of the next longer one cut short; where a draft is "
            "rejected, for what its tail loads, is of the longest."
        )
    if law.known is not None and law.known < deepest:
        kept = (
            f"keep its last hazard ({law.hazards[-1]:.3f})"
            if isinstance(law, Acceptance)
            else f"lose {float(law.fall):g} logits a depth from its last"
        )
        notes.append(f"Acceptance is known to depth {law.known}; deeper drafts {kept} and are marked extrapolated.")
    return law
