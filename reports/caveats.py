"""What the odds are of, and what they leave out, in words."""

from reports.scenario import Scenario, split
from reports.words import listed
from studies.results import Results

DRAWN_CAVEAT = (
    "are of traffic and of what an engine achieves and adds, drawn from priors; calibrate the prices with one run "
    "of your engine to narrow them."
)
OWN_CAVEAT = "are of traffic and of what an engine achieves and adds, drawn from a prices file ({})."
GIVEN_CAVEAT = "Acceptance{} and routing{} are taken as given: how far yours differ is in no odds here."
ROOFLINE_CAVEAT = (
    "are of traffic only, at roofline prices. Where it was measured, on gpt-oss-120b with one H200, real gains were "
    "larger at batch 1 and several times smaller at large batch."
)

EXACT_CAVEAT = (
    "All of this is in closed form: distinct experts are counted on average, what an engine achieves and adds stands "
    "at its median (prices ideal and post leave it out) and no traffic is drawn, so there are no odds here; "
    "optimal-k draws both."
)


def caveat(results: Results) -> str:
    """What the odds are of, by scenario where they differ."""
    scenarios = split(results)
    said = []
    words_of = [_odds_of(scenario) for scenario in scenarios]
    for words in dict.fromkeys(words_of):
        named = [scenario.name for scenario, its in zip(scenarios, words_of, strict=True) if its == words]
        whose = "These odds" if len(named) == len(scenarios) else f"The odds of {listed(named)}" if named else ""
        said += [f"{whose} {words}"] if named else []
    assumed = (results["results"][name].unique().to_list() for name in ("acceptance", "routing"))
    which = [f" ({values[0]})" if len(values) == 1 else "" for values in assumed]
    return " ".join([*said, GIVEN_CAVEAT.format(*which)])


def _odds_of(scenario: Scenario) -> str:
    """What the odds of a scenario are of, in words."""
    prices = str(scenario.grid["prices"][0])
    if not scenario.drawn:
        return ROOFLINE_CAVEAT
    return DRAWN_CAVEAT if prices == "achieved" else OWN_CAVEAT.format(prices)
