"""The explorer of a study in closed form: everything on a dense grid of its own, whatever the study's grid.

Overlap along the window is one number here, the share of its experts that a token has in common with the one before
it. The shape by window is kept: with d(t) = n(t) - n(t-1) what token t adds to the independent tokens that a window
is worth (montecarlo/overlap.py),

    n_s(T) = n(1) + sum over t = 2 .. T of d(t)^s        s = 0: every token on its own, s = 1: as measured

Popularity stays the scenario's. Routing that is measured by popularity alone, or uniform, takes d from MEASURED.
"""

from collections.abc import Callable

import numpy as np

from montecarlo import closed
from montecarlo.exact import mean_distinct
from montecarlo.overlap import Overlap
from montecarlo.roofline import Floats
from studies import explorer
from studies.exact import Exact, largest_batch
from studies.explorer import Part
from traces import profiles

LARGEST = 30_000  # the post's last batch
NODES = 33  # batches from 1 to it to begin with, evenly by ratio
TOLERANCE = 0.0075
CONTEXTS = tuple(1024 << power for power in range(8))
LENGTHS = 9
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)  # s
MEASURED = "qwen3.6-35b-a3b"


def scenario(built: Exact) -> Part | None:
    """Its part of explorer.json; None where nothing fits, or nothing is drafted."""
    lengths = sorted({0, *built.lengths})[:LENGTHS]
    contexts = sorted({*CONTEXTS, *built.contexts})
    top = min(LARGEST, largest_batch(built.prices, contexts[0]))
    if len(lengths) < 2 or not top:
        return None
    places = np.unique(np.round(np.geomspace(1, LARGEST, NODES))).astype(int).tolist()
    tabled = {1 << power for power in range(15)}  # the batches of the page's tables
    start = sorted(batch for batch in {*places, *tabled, explorer.HOME_BATCH, top} if batch <= top)
    batches = refined(start, lambda some: np.stack([*_priced(built, contexts, some, lengths).values()]))
    terms = _priced(built, contexts, batches, lengths)
    draft, experts = terms.pop("drafting"), None
    base = np.asarray(sum(terms.values(), np.float64(0.0)))[..., :1]
    if terms.pop("experts", None) is not None and built.overlap is not None:
        family, studied = levels(built, lengths[-1] + 1)
        priced = [_verify(built, overlap, ("experts",), contexts, batches, lengths)["experts"] for overlap in family]
        shares = [sharing(overlap, built.top_k) for overlap in family]
        experts = explorer.experts("shared", built.labels["routing"], shares, studied, priced, batches)
    law = built.acceptance
    return explorer.scenario(
        built.labels,
        built.prices,
        contexts=contexts,
        batches=batches,
        lengths=lengths,
        terms={name: explorer.entry(1e6 * seconds, batches) for name, seconds in terms.items()},
        experts=experts,
        drafting=explorer.drafting(built.prices, draft, base, batches),
        tokens=np.asarray(law.tokens_per_step(np.asarray(lengths)), np.float64)[None, :],
        alpha=law.hazards[0] if law.known is None else None,
        shown=built.contexts,
        p_loss=None,
    )


def _verify(
    built: Exact,
    overlap: Overlap | None,
    terms: tuple[str, ...],
    contexts: list[int],
    batches: list[int],
    lengths: list[int],
) -> dict[str, Floats]:
    """Verify seconds by term [contexts, batches, lengths]."""
    axes = np.meshgrid(contexts, batches, lengths, indexing="ij", sparse=True)
    context, batch, length = (axis.astype(np.float64) for axis in axes)
    found = closed.seconds(built.prices, overlap, batch, length, context, terms)
    return {name: np.broadcast_to(each, np.broadcast_shapes(*(a.shape for a in axes))) for name, each in found.items()}


def _priced(built: Exact, contexts: list[int], batches: list[int], lengths: list[int]) -> dict[str, Floats]:
    """Seconds by term of the scenario as it is, and of its `drafting` [contexts, batches, lengths]."""
    found = _verify(built, built.overlap, built.terms, contexts, batches, lengths)
    base = np.asarray(sum(found.values(), np.float64(0.0)))[..., :1]
    batch, length, context = np.asarray(batches)[:, None], np.asarray(lengths), np.asarray(contexts)[:, None, None]
    draft = built.prices.draft_seconds(batch, length, context, base) * ("drafting" in built.terms)
    return found | {"drafting": np.broadcast_to(draft, (len(contexts), len(batches), len(lengths)))}


def refined(batches: list[int], seconds: Callable[[list[int]], Floats]) -> list[int]:
    """The batches, and more between them until none misses the middle of its gap by more than TOLERANCE of a step.

    seconds: of batches, by term [terms, .., batches, lengths]. Corners of rooflines and the end of the CUDA graphs
    draw batches to themselves.
    """
    while True:
        ends = np.asarray(batches)
        low, high = ends[:-1][np.diff(ends) > 1], ends[1:][np.diff(ends) > 1]
        middle = np.round(np.sqrt(low * high)).astype(int)
        if not middle.size:
            return batches
        share = (np.log(middle / low) / np.log(high / low))[:, None]
        true, below, above = (seconds([int(batch) for batch in some]) for some in (middle, low, high))
        missed = np.sum(np.abs(below ** (1 - share) * above**share - true), axis=0) / np.sum(true, axis=0)
        wrong = np.max(missed, axis=(*range(missed.ndim - 2), missed.ndim - 1)) > TOLERANCE
        if not wrong.any():
            return batches
        batches = sorted({*batches, *(int(batch) for batch in middle[wrong])})


def levels(built: Exact, longest: int) -> tuple[list[Overlap], int]:
    """The overlaps of all STRENGTHS for windows to `longest`, and which of them is the scenario's own."""
    own = built.overlap
    assert own is not None
    measured = own if own.windows.size else _measured(own, built.top_k)
    windows = np.arange(1.0, longest + 1)
    independent = measured.tokens(windows)
    added = np.maximum(np.diff(independent), 0.0)
    family = [
        Overlap(own.inclusion, windows, independent[0] + np.concatenate([[0.0], np.cumsum(added**strength)]))
        for strength in STRENGTHS
    ]
    studied = STRENGTHS.index(1.0 if own.windows.size else 0.0)
    family[studied] = own  # to the last bit
    return family, studied


def _measured(own: Overlap, top_k: int) -> Overlap:
    """The `own` popularity with the measured ratios of distinct experts by window."""
    numbers = profiles.load(MEASURED).numbers
    windows = np.asarray(numbers["windows"], np.float64)
    ratio = np.asarray(numbers["distinct"]) / mean_distinct(int(numbers["experts"]), int(numbers["top_k"]), windows)
    return Overlap.of(experts=own.inclusion.size, top_k=top_k, popularity=own.inclusion, windows=windows, ratio=ratio)


def sharing(overlap: Overlap, top_k: int) -> float:
    """Share of a token's experts that the token before it has too: D(1, 2) = top_k (2 - share)."""
    return float(2 - overlap.distinct(1.0, 2.0) / top_k)
