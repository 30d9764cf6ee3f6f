"""Surfaces as tasks of a study: exact where acceptance does not depend on the place in the text.

Random windows of many requests (montecarlo/surface.py) give the distinct experts of every batch and draft length at
once; their prices are averaged over each world's batches, and tokens per step are those of the law by depth.
"""

import numpy as np

from montecarlo import coverage, estimate, surface
from montecarlo.acceptance import Acceptance
from montecarlo.cost import Ideal
from montecarlo.post import Post
from montecarlo.roofline import Floats
from studies.cells import Cells
from studies.config import Study
from studies.scenario import Built
from studies.tasks import Arrays, Task, blocks, joined, prepared, replicates

BLOCK = 16  # worlds a task
WORLD_WINDOWS = 512  # a world of few recorded requests places several windows in each: at least this many in all
INNER_WORLDS = 12  # worlds per bootstrap replicate


def tasks(study_json: str, index: int, worlds: int) -> list[Task]:
    """All blocks of `worlds` worlds of scenario `index`, and the bootstrap of its trace."""
    listed = blocks(surface_block, study_json, index, worlds, BLOCK)
    if prepared(study_json, index).recording is not None:
        listed += replicates(bootstrap_block, study_json, index)
    return listed


def price_list(built: Built, prices: Ideal | Post) -> list[np.ndarray]:
    """Seconds of one MoE layer, for each batch [draft lengths 0..deepest, distinct experts 0..E]."""
    window = np.arange(built.deepest + 1)[:, None] + 1.0
    distinct = np.arange(built.experts + 1)[None, :]
    return [prices.moe_seconds(batch * window, distinct) for batch in built.batches]


def world_counts(built: Built, seed: int, world: int, replicate: int | None = None) -> list[np.ndarray]:
    """Distinct experts [deepest + 1, groups, layers] of each step of one world."""
    survival = _law(built).survival(built.deepest)
    if built.recording is not None:
        steps = -(-WORLD_WINDOWS // built.requests)
        return [
            surface.replayed(
                built.recording,
                survival,
                seed=seed,
                world=world,
                step=step,
                requests=built.requests,
                batches=built.batches,
                tail=built.tail,
                replicate=replicate,
            )
            for step in range(steps)
        ]
    assert built.process is not None
    return [
        surface.sampled(
            built.process,
            survival,
            seed=seed,
            world=world,
            requests=built.requests,
            batches=built.batches,
            tail=built.tail,
        )
    ]


def _priced(built: Built, prices: list[np.ndarray], steps: list[np.ndarray]) -> np.ndarray:
    """Seconds of the MoE layers [groups, deepest + 1], summed over layers, mean over steps."""
    depth = np.arange(built.deepest + 1)[:, None, None]
    seconds = []
    for counts in steps:
        priced = [
            np.ascontiguousarray(prices[b][depth, counts[:, groups]]).sum(axis=2)
            for b, groups in enumerate(coverage.group_slices(built.requests, built.batches))
        ]
        seconds.append(np.concatenate(priced, axis=1).T)
    return estimate.mean(np.stack(seconds))


def surface_block(study_json: str, index: int, first: int, worlds: int) -> Arrays:
    """MoE seconds and distinct experts [worlds, groups, deepest + 1] of worlds first .. first + worlds - 1.

    ideal_seconds: the same seconds at rooflines, where prices are drawn.
    """
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    shape = (worlds, sum(coverage.groups(built.requests, built.batches)), built.deepest + 1)
    found = {name: np.zeros(shape) for name in ("moe_seconds", "distinct", *(["ideal_seconds"] if built.ideal else []))}
    if not built.experts:
        return found
    for at, world in enumerate(range(first, first + worlds)):
        steps = world_counts(built, seed, world)
        found["moe_seconds"][at] = _priced(built, price_list(built, built.drawn(seed, range(world, world + 1))), steps)
        found["distinct"][at] = sum(np.sum(counts, axis=2, dtype=np.int64).T for counts in steps) / len(steps)
        if built.ideal:
            found["ideal_seconds"][at] = _priced(built, price_list(built, built.ideal), steps)
    return found


def bootstrap_block(study_json: str, index: int, first: int, replicates: int) -> Arrays:
    """Mean MoE seconds [replicates, INNER_WORLDS, batches, deepest + 1] of traces resampled by request.

    Prices that are drawn stand at their medians: this error is the trace's alone.
    """
    built, seed = prepared(study_json, index), Study.model_validate_json(study_json).seed
    prices, slices = price_list(built, built.prices), coverage.group_slices(built.requests, built.batches)
    means = []
    for replicate in range(first, first + replicates):
        for inner in range(INNER_WORLDS):
            world = replicate * INNER_WORLDS + inner
            seconds = _priced(built, prices, world_counts(built, seed, world, replicate))
            means.append([estimate.mean(seconds[groups]) for groups in slices])
    return {"moe_seconds": np.asarray(means).reshape(replicates, INNER_WORLDS, len(built.batches), built.deepest + 1)}


def _law(built: Built) -> Acceptance:
    assert isinstance(built.acceptance, Acceptance)  # anything else is walked
    return built.acceptance


def step_seconds(
    built: Built, prices: Ideal | Post, moe: Floats, batches: tuple[int, ...] | None = None
) -> tuple[Floats, Floats, Floats]:
    """(undrafted [..., batches, contexts], step and draft [..., batches, contexts, lengths]) seconds of a step.

    Adds the kernels without chance, and drafting, to MoE seconds [..., batches, deepest + 1].
    """
    batch = np.asarray(batches or built.batches, np.float64)[:, None, None]
    context = np.asarray(built.contexts, np.float64)[None, :, None]
    depth = np.arange(built.deepest + 1, dtype=np.float64)[None, None, :]
    verify = prices.other_seconds(batch, depth, context) + moe[..., :, None, :]
    base = verify[..., :1]
    draft = np.broadcast_to(prices.draft_seconds(batch, depth, context, base), verify.shape)
    lengths = list(built.lengths)
    return base[..., 0], (verify + draft)[..., lengths], draft[..., lengths]


def cells(built: Built, seed: int, found: list[Arrays], resampled: list[Arrays]) -> Cells:
    """The grid from the arrays of all worlds, and of all replicates of a trace."""
    every, slices = joined(found), coverage.group_slices(built.requests, built.batches)
    moe, distinct = every["moe_seconds"], every["distinct"]
    worlds = len(moe)

    def means(values: Floats) -> Floats:
        return np.stack([estimate.mean(values[:, groups], axis=1) for groups in slices], axis=1)

    tokens = _law(built).tokens_per_step(np.asarray(built.lengths))
    undrafted, step, draft = step_seconds(built, built.drawn(seed, range(worlds), 3), means(moe))
    ideal = None
    if built.ideal:
        base, spent, _ = step_seconds(built, built.ideal, means(every["ideal_seconds"]))
        ideal = estimate.speedup(tokens, base[..., None], spent)[0]
    shape, lengths = (len(slices), len(tokens)), list(built.lengths)
    touched = np.stack([estimate.mean(distinct[:, groups][..., lengths], axis=1) for groups in slices], axis=1)
    touched = touched / max(built.layers, 1)  # [worlds, batches, lengths]
    return Cells(
        method="surface",
        undrafted=undrafted,
        drafted=step / tokens,
        tokens=np.broadcast_to(tokens, shape),
        tokens_error=np.zeros(shape),
        distinct=estimate.mean(touched),
        distinct_error=touched.std(axis=0, ddof=1) / np.sqrt(worlds) if worlds > 1 else np.full(shape, np.inf),
        step=estimate.mean(step),
        draft=estimate.mean(draft),
        spread=np.stack([_batch_spread(built, seed, moe[:, slices[b]], b, tokens) for b in range(len(slices))], axis=1),
        emitted=np.ones((worlds, len(slices))),
        resampled=_resampled(built, joined(resampled)["moe_seconds"], tokens) if resampled else None,
        ideal=ideal,
        terms=_terms(built, built.drawn(seed, range(worlds), 3), estimate.mean(means(moe))),
    )


def _terms(built: Built, prices: Ideal | Post, moe: Floats) -> dict[str, Floats]:
    """Mean verify seconds by term [batches, contexts, 1 + lengths above 0]; of MoE seconds [batches, deepest + 1]."""
    every = sorted({0, *built.lengths})
    batch = np.asarray(built.batches, np.float64)[:, None, None]
    context, depth = np.asarray(built.contexts, np.float64)[None, :, None], np.asarray(every, np.float64)[None, None, :]
    shape, found = (len(built.batches), len(built.contexts), len(every)), dict[str, Floats]()
    for kernel in prices.kernels(batch, depth, context):
        spent = kernel.seconds(prices.bandwidth)
        spent = estimate.mean(spent) if spent.ndim > len(shape) else spent
        found[kernel.term] = found.get(kernel.term, 0.0) + np.broadcast_to(spent, shape)
    if built.experts:
        found["experts"] = np.broadcast_to(moe[:, None, every], shape)
    return found


def _batch_spread(built: Built, seed: int, moe: Floats, b: int, tokens: Floats) -> Floats:
    """5th and 95th percentile of the speedup over the batches of all worlds [2, contexts, lengths].

    A batch's own speedup: its requests and their windows are given, its runs are integrated out.
    """
    prices = built.drawn(seed, range(len(moe)), 4)
    undrafted, step, _ = step_seconds(built, prices, moe[:, :, None], (built.batches[b],))
    speedup = tokens * undrafted[..., 0, :, None] / step[..., 0, :, :]
    return np.asarray(np.quantile(speedup, (0.05, 0.95), axis=(0, 1)))


def _resampled(built: Built, moe: Floats, tokens: Floats) -> tuple[Floats, Floats]:
    """Seconds per token without and with drafts of resampled traces [replicates, worlds, batches, contexts(, lengths)].

    moe [replicates, worlds, batches, deepest + 1]: their MoE seconds.
    """
    undrafted, step, _ = step_seconds(built, built.prices, moe)
    return undrafted, step / tokens
