"""From the word of a configuration to a drafter: eagle-3, free, fraction:C, block:LAYERSxTOKENS."""

from montecarlo.drafter import Block, Drafter, Eagle3, Flat
from montecarlo.errors import InputError
from montecarlo.target import Target
from studies import catalog

ALLOWED = ["eagle-3", "free", "fraction:C", "block:LAYERSxTOKENS"]


def flat(name: str) -> Flat | None:
    """A drafter of a fixed fraction of a target step; None for a name that is no such one."""
    kind, _, cost = name.partition(":")
    if name == "free":
        return Flat.of(fraction=0.0)
    if kind != "fraction":
        return None
    try:
        return Flat.of(fraction=float(cost))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"drafter {name!r}: fraction:C takes a number, as in fraction:0.10") from error


def drafter(name: str, target: Target, stored: str | None = None) -> Drafter:
    """The drafter of a name, its weights stored as `stored`; raises InputError for what is none."""
    built = flat(name)
    if built is not None:
        if stored is not None:
            raise InputError(f"drafter_format = {stored}: drafter {name} has no weights to store")
        return built
    if name == "eagle-3":
        return Eagle3.of(target, stored)
    if not name.startswith("block:"):
        raise catalog.refuse("drafter", name, ALLOWED)
    layers, cross, tokens = name.removeprefix("block:").partition("x")
    if not (cross and layers.isdecimal() and tokens.isdecimal()):
        raise InputError(f"drafter {name!r}: write block:LAYERSxTOKENS, as in block:5x16")
    return Block.of(target, layers=int(layers), block=int(tokens), stored=stored)
