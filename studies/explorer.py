"""explorer.json: what the page of a study needs to answer "and if ...?" without pricing anything itself.

Per scenario the mean seconds of each switchable term of a step over contexts x batches x draft lengths, the experts'
at several levels of overlap, the drafter's, and tokens per step. The page adds terms, interpolates between nodes
(geometrically over log batch and log context, linearly between levels) and divides: docs/explorer.md.

Numbers have five digits, times are in microseconds. An axis along which nothing changes has length 1; seconds that
are proportional to the batch are kept for one sequence.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.post import Post
from montecarlo.roofline import Floats
from studies.exact import LARGEST, largest_batch

ALPHAS = tuple(percent / 100 for percent in range(1, 100))
HOME_BATCH, HOME_CONTEXT = 8, 4096
SAME = 1e-9  # relative: no more than rounding

Part = dict[str, Any]  # of the document


def document(study: str, scenarios: Sequence[Part | None]) -> Part | None:
    """The whole file; None where no scenario has anything to move."""
    kept = [scenario for scenario in scenarios if scenario is not None]
    return {"study": study, "alphas": list(ALPHAS), "scenarios": kept} if kept else None


def scenario(
    labels: dict[str, Any],
    prices: Ideal | Post,
    *,
    contexts: Sequence[int],
    batches: Sequence[int],
    lengths: Sequence[int],
    terms: dict[str, Part],
    experts: Part | None,
    drafting: Part,
    tokens: Floats,
    alpha: float | None,
    shown: Sequence[int],
    p_loss: Floats | None,
) -> Part:
    """One scenario. lengths begin with 0; `terms` but the experts, and `drafting`, are entries of microseconds.

    tokens [batches, lengths] per step. alpha: the study's own acceptance where it is i.i.d. shown: the study's own
    contexts; home is among them, if any fits. p_loss [contexts, batches, lengths], None where no worlds are drawn. The
    smallest context and batch must fit.
    """
    largest = [[largest_batch(prices, context, length) for length in lengths] for context in contexts]
    wanted = sorted(contexts, key=lambda context: (context not in shown, context != HOME_CONTEXT, context))
    context = next(context for context in wanted if largest[contexts.index(context)][0] >= batches[0])
    place = contexts.index(context)
    fitting = [batch for batch in batches if batch <= largest[place][0]]
    return {
        "name": labels["scenario"],
        "home": {"batch": min(fitting, key=lambda batch: abs(np.log(batch / HOME_BATCH))), "context": context},
        "batches": list(batches),
        "contexts": list(contexts),
        "lengths": list(lengths),
        "terms": terms,
        "experts": experts,
        "drafting": {"name": labels["drafter"], **drafting},
        "tokens": {
            "name": labels["acceptance"],
            "alpha": alpha,
            "studied": rounded(tokens[:1] if np.ptp(tokens, axis=0).max() == 0 else tokens),
            "iid": rounded(np.cumsum(np.power.outer(ALPHAS, np.arange(lengths[-1] + 1)), axis=1)[:, list(lengths)]),
        },
        "largest": None if largest[0][0] == LARGEST else largest,
        "p_loss": None if p_loss is None else rounded(p_loss),
    }


def experts(
    axis: str, name: str, levels: Sequence[float], studied: int, seconds: Sequence[Floats], batches: Sequence[int]
) -> Part:
    """The experts' seconds [contexts, batches, lengths] at each level of `axis`; the study's own, routing `name`, is
    the level in place `studied`.
    """
    entries = [entry(1e6 * one, batches) for one in seconds]
    return {"axis": axis, "name": name, "levels": rounded(np.asarray(levels)), "studied": studied, "at": entries}


def drafting(prices: Ideal | Post, draft: Floats, base: Floats, batches: Sequence[int], own: bool = False) -> Part:
    """The entry of drafting, from its seconds and those of an undrafted step [contexts, batches, lengths and 1].

    A drafter of a fixed fraction is kept as shares of that step, so that it follows when terms are switched off.
    """
    flat = isinstance(prices.drafter, Flat)
    return {"of_step": flat, **entry(draft / base if flat else 1e6 * draft, batches, own)}


def entry(values: Floats, batches: Sequence[int], own: bool = False) -> Part:
    """Values [contexts, batches, lengths] without the axes along which they say nothing new.

    own: these are not the scenario's batches, and are kept with the values.
    """
    each = np.asarray(values, np.float64)
    if _same(each, 0):
        each = each[:1]
    alone = each / np.asarray(batches, np.float64)[:, None]
    per_sequence = not _same(each, 1) and _same(alone, 1)
    if per_sequence or _same(each, 1):
        each = (alone if per_sequence else each)[:, :1]
    listed = {"batches": list(batches)} if own and each.shape[1] > 1 else {}
    return {"per_sequence": per_sequence, **listed, "values": rounded(each)}


def _same(values: Floats, axis: int) -> bool:
    first = values.take([0], axis)
    return bool(np.all(np.abs(values - first) <= SAME * np.abs(first)))


def rounded(values: Floats) -> Any:
    """Nested lists of numbers of five significant digits."""
    if values.ndim:
        return [rounded(inner) for inner in values]
    number = float(f"{float(values):.5g}")
    return int(number) if number.is_integer() else number
