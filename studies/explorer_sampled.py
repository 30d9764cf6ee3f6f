"""The explorer of optimal-k: the study's own Monte Carlo means on its own grid, so that at home it says what it says.

On a surface the experts alone are simulated; all else is kept at more batches, so that only they are interpolated far.
Routing goes from uniform, in closed form (the law of distinct experts of B (k+1) tokens, every price drawn, none cut
short by the end of a text), to the study's own, simulated. Other acceptances keep the experts of the study's own.
"""

import numpy as np

from montecarlo import exact
from montecarlo.acceptance import Acceptance
from montecarlo.cost import Ideal
from montecarlo.drafter import Flat
from montecarlo.estimate import mean
from montecarlo.post import Post
from montecarlo.roofline import Floats
from studies import explorer
from studies.cells import Cells
from studies.exact import largest_batch
from studies.explorer import Part
from studies.explorer_closed import refined
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
    base = np.asarray(sum(terms.values(), np.float64(0.0)))[..., :1]
    experts, own = None, terms.pop("experts", None)
    if own is not None:
        levels, routing = [own], str(built.labels["routing"])
        if routing != "uniform":
            levels.insert(0, np.broadcast_to(uniform(built, seed, len(found.drafted), batches, lengths), own.shape))
        shares = [0.0, 1.0][-len(levels) :]
        experts = explorer.experts("routing", routing, shares, len(levels) - 1, levels, batches)
    drafting = explorer.drafting(built.prices, arranged(with_none(found.draft, 0.0)), base, batches)
    if built.walked:
        entries = {name: explorer.entry(1e6 * seconds, batches) for name, seconds in terms.items()}
    else:
        entries, drafting = closer(built, seed, len(found.drafted), batches, lengths, drafting)
    law = built.acceptance
    return explorer.scenario(
        built.labels,
        built.prices,
        contexts=built.contexts,
        batches=batches,
        lengths=lengths,
        terms=entries,
        experts=experts,
        drafting=drafting,
        tokens=with_none(found.tokens, 1.0)[kept],
        alpha=law.hazards[0] if isinstance(law, Acceptance) and law.known is None else None,
        shown=built.contexts,
        p_loss=arranged(with_none(np.mean(found.by_world < 1, axis=0), 0.0)),
    )


def closer(
    built: Built, seed: int, worlds: int, batches: list[int], lengths: list[int], flat: Part
) -> tuple[dict[str, Part], Part]:
    """The entries of terms and of drafting, at more batches than the study's: they need no draw of traffic.

    flat: the entry of drafting that stays, where the drafter costs a fixed fraction.
    """

    def at(prices: Ideal | Post, some: list[int]) -> dict[str, Floats]:
        axes = np.meshgrid(built.contexts, some, lengths, indexing="ij", sparse=True)
        context, batch, length = (axis.astype(np.float64) for axis in axes)
        found: dict[str, Floats] = {}
        for kernel in prices.kernels(batch, length, context):
            found[kernel.term] = np.add(found.get(kernel.term, 0.0), kernel.seconds(prices.bandwidth))
        if not isinstance(prices.drafter, Flat):
            found["drafting"] = prices.draft_seconds(batch, length, context, 0.0)
        shape = np.broadcast_shapes(*(axis.shape for axis in axes))
        return {name: mean(_worlds_first(each, shape)) for name, each in found.items()}

    many = refined(batches, lambda some: np.stack([*at(built.prices, some).values()]))
    total: dict[str, Floats] = {}
    for first in range(0, worlds, CHUNK):
        chunk = range(first, min(first + CHUNK, worlds))
        for name, each in at(built.drawn(seed, chunk, 3), many).items():
            total[name] = total.get(name, 0.0) + len(chunk) / worlds * each
    draft = total.pop("drafting", None)
    entries = {name: explorer.entry(1e6 * each, many, own=True) for name, each in total.items()}
    if draft is None:
        return entries, flat
    return entries, explorer.drafting(built.prices, draft, np.ones(1), many, own=True)


def _worlds_first(values: Floats, shape: tuple[int, ...]) -> Floats:
    """[worlds, *shape] of values with worlds or without, that broadcast."""
    return np.broadcast_to(values, (values.shape[0] if values.ndim > len(shape) else 1, *shape))


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
