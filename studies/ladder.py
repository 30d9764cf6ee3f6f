"""The models that `stress` compares: the rungs of the ladder, and the corners of the factorial of seven families."""

from dataclasses import dataclass, replace

from studies.levels import Levels, Model, Surface

POST = Model("uniform", "iid", "text", "ideal", "free")

FAMILIES = {
    "skew": "routing skew",
    "overlap": "temporal overlap",
    "acceptance": "depth and difficulty of acceptance",
    "requests": "request heterogeneity",
    "hardware": "hardware terms",
    "tail": "rejected tail",
    "drafter": "drafter cost",
}
ROUTING = ("uniform", "popularity", "overlap", "sticky")  # by skew + 2 overlap
ACCEPTANCE = ("iid", "difficulty", "iid-requests", "full")  # by acceptance + 2 requests


@dataclass(frozen=True)
class Rung:
    """A step of the ladder: what is assumed from here on, the model it leads to, and the family it belongs to."""

    name: str
    family: str
    model: Model


def rungs(levels: Levels) -> list[Rung]:
    """The ladder from the post to the scenario; one that has no trace or tail of its own is shorter."""
    steps = [
        ("experts differ in popularity", "routing", {"routing": "popularity"}),
        ("each request has its topics", "routing", {"routing": "topics"}),
        ("neighbouring tokens stick", "routing", {"routing": "sticky"}),
        *([("recorded trace", "routing", {"routing": "trace"})] if "trace" in levels.routing else []),
        ("acceptance falls with depth", "acceptance", {"acceptance": "depth"}),
        ("requests differ in ease", "acceptance", {"acceptance": "depth-requests"}),
        ("difficulty moves along the text", "acceptance", {"acceptance": "full"}),
        ("rejected drafts: other tokens", "tail", {"tail": "request"}),
        ("rejected drafts: any request's", "tail", {"tail": "anywhere"}),
        ("what engines achieve and add", "prices", {"prices": "achieved"}),
        ("the drafter costs", "drafter", {"drafter": "priced"}),
    ]
    steps = steps[: len(steps) - 2 - {"text": 2, "request": 1, "anywhere": 0}[levels.built.tail]] + steps[-2:]
    found = [Rung("the post's assumptions", "post", POST)]
    for name, family, change in steps:
        found.append(Rung(name, family, replace(found[-1].model, **change)))
    return found


def corners(levels: Levels) -> list[Model]:
    """The model of each coalition of FAMILIES: bit i of its index says that family i is as in the scenario."""
    return [
        _corner(levels, [bool(index >> i & 1) for i in range(len(FAMILIES))]) for index in range(1 << len(FAMILIES))
    ]


def _corner(levels: Levels, on: list[bool]) -> Model:
    skew, overlap, acceptance, requests, hardware, tail, drafter = on
    return Model(
        ROUTING[skew + 2 * overlap],
        ACCEPTANCE[acceptance + 2 * requests],
        levels.built.tail if tail else "text",
        "achieved" if hardware else "ideal",
        "priced" if drafter else "free",
    )


def naive(levels: Levels) -> dict[str, Model]:
    """The scenario with uniform routing, with i.i.d. acceptance, and with both."""
    full = levels.full
    return {
        "uniform routing": replace(full, routing="uniform"),
        "iid acceptance": replace(full, acceptance="iid"),
        "both": replace(full, routing="uniform", acceptance="iid"),
    }


def needed(levels: Levels) -> list[Surface]:
    """Every surface that any model needs, in order."""
    models = [*(rung.model for rung in rungs(levels)), *corners(levels), *naive(levels).values()]
    return list(dict.fromkeys(levels.surface(model) for model in models))
