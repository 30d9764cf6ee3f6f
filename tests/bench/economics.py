"""The exact study `economics`: its whole default run, and the map of the best length for one more alpha."""

import time
from collections.abc import Iterator

import numpy as np

from studies import config, economics, scenario


def figures() -> Iterator[tuple[str, str]]:
    """(name, value) of each figure."""
    resolved = scenario.fill("economics", config.resolve("economics", None, [], {}))
    start = time.perf_counter()
    economics.conclude(resolved, 0, {}, {})
    yield "economics, default study in memory", f"{time.perf_counter() - start:.2f} s"
    for index, kind in enumerate(("the post's prices", "layer by layer, measured overlap")):
        built = economics.prepared(resolved.model_dump_json(), index)
        start = time.perf_counter()
        surface = built.grid(economics.BATCHES)
        yield f"map of {surface.verify.size:,} cells priced, {kind}", f"{time.perf_counter() - start:.3f} s"
        start = time.perf_counter()
        surface.best(np.cumsum(0.83 ** np.arange(65)))
        yield f"map for a new alpha, {kind}", f"{time.perf_counter() - start:.4f} s"
