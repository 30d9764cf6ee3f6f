"""The explorer of optimal-k: the study's own Monte Carlo means on its own grid, so that at home it says what it says.

Routing goes from uniform, in closed form (the law of distinct experts of B (k+1) tokens, every price drawn, none cut
short by the end of a text), to the study's own, simulated. Other acceptances keep the experts of the study's own.
"""

import numpy as np

from montecarlo import exact
from montecarlo.acceptance import Acceptance
from montecarlo.estimate import mean
from montecarlo.roofline import Floats
from studies import explorer
from studies.cells import Cells
from studies.exact import largest_batch
from studies.explorer import Part
from studies.scenario import Built

CHUNK = 64  # worlds priced at once


def scenario(built: Built, found: Cells, seed: int) -> Part | None:
    """Its part of explorer.json; None where nothing fits or can be filled, or nothing is drafted."""
    drafted = [at for at, length in enumerate(built.lengths) if length > 0]
    most = max(largest_batch(built.prices, context) for context in built.contexts)
    filled = np.all(np.isfinite(found.drafted), axis=(0, 2, 3))
    kept = [at for at, batch in enumerate(built.batches) if filled[at] and batch <= most]
    if not drafted or not kept:
        return None
    lengths, batches = [0, *(built.lengths[at] for at in drafted)], [built.batches[at] for at in kept]

    def arranged(values: Floats) -> Floats:
        """[contexts, batches, lengths] of [all batches, contexts, lengths]."""
        return values[kept].transpose(1, 0, 2)

    def with_none(values: Floats, at_none: float) -> Floats:
        """[.., lengths] of the explorer, of [.., lengths] of the study."""
        return np.concatenate([np.full((*values.shape[:-1], 1), at_none), values[..., drafted]], axis=-1)

    terms = {name: arranged(seconds) for name, seconds in found.terms.items()}
    base = np.asarray(sum(terms.values(), np.float64(0.0)))[..., 0]
    experts, own = None, terms.pop("experts", None)
    if own is not None:
        levels, routing = [own], str(built.labels["routing"])
        if routing != "uniform":
            levels.insert(0, np.broadcast_to(uniform(built, seed, len(found.drafted), batches, lengths), own.shape))
        shares = [0.0, 1.0][-len(levels) :]
        experts = explorer.experts("routing", routing, shares, len(levels) - 1, levels, batches)
    law = built.acceptance
    return explorer.scenario(
        built.labels,
        built.prices,
        contexts=built.contexts,
        batches=batches,
        lengths=lengths,
        terms=terms,
        experts=experts,
        draft=arranged(with_none(found.draft, 0.0)),
        base=base,
        tokens=with_none(found.tokens, 1.0)[kept],
        alpha=law.hazards[0] if isinstance(law, Acceptance) and law.known is None else None,
        shown=built.contexts,
        p_loss=arranged(with_none(np.mean(found.by_world < 1, axis=0), 0.0)),
    )


def uniform(built: Built, seed: int, worlds: int, batches: list[int], lengths: list[int]) -> Floats:
    """Mean seconds of all experts under uniform routing [batches, lengths], over the prices of all worlds."""
    enough = exact.saturation(built.experts, built.top_k)  # beyond it the law no longer changes
    law = exact.distinct_pmf(built.experts, built.top_k, enough)
    tokens = np.multiply.outer(batches, np.add(lengths, 1))
    chunks = [range(first, min(first + CHUNK, worlds)) for first in range(0, worlds, CHUNK)]
    distinct = np.arange(built.experts + 1.0)
    total = np.zeros((*tokens.shape, distinct.size))
    for chunk in chunks:
        prices = built.drawn(seed, chunk, 3)
        every = prices.moe_seconds(tokens[..., None].astype(np.float64), distinct)
        total += len(chunk) / worlds * (mean(every) if every.ndim > total.ndim else every)
    return np.asarray(built.layers * np.sum(law[np.minimum(tokens, enough)] * total, axis=-1))
