"""With prompts: what prefill leaves of the speedup, in throughput and in time per output token.

Steps that decode are those of the grid. Prompts share them in chunks (`chunked`, at most `prefill_tokens` a step) or
are prefilled on other devices (`disaggregated`), montecarlo/prefill.py; terms of the engine stand at their medians, and
a chunk's distinct experts are drawn uniformly beside the decoding tokens': D + (E - D) (1 - (1 - top_k / E)^c).
"""

from typing import Any

import numpy as np
import polars as pl

from montecarlo import prefill
from montecarlo.errors import InputError
from montecarlo.post import Post
from montecarlo.prefill import Steady, Traffic
from montecarlo.roofline import Floats
from studies.columns import GRID
from studies.scenario import Built


def columns(built: Built, grid: pl.DataFrame) -> pl.DataFrame:
    """The grid with throughput [tokens/s], its ratio to no drafting, and seconds per output token."""
    if built.prompts is None:
        return grid
    rows = grid.to_dicts()
    undrafted: dict[tuple[int, int], float] = {}
    for row in sorted(rows, key=lambda row: int(row["draft_length"])):
        place = row["batch"], row["context_tokens"]
        if row["step_seconds"] is None:
            continue
        found = _steady(built, row)
        if found is None:
            continue
        if row["draft_length"] == 0:
            undrafted[place] = found.tokens_per_second
        row["throughput"], row["seconds_per_token"] = found.tokens_per_second, found.seconds_per_token
        if place in undrafted:
            row["throughput_speedup"] = found.tokens_per_second / undrafted[place]
    return pl.DataFrame(rows, schema=GRID)


def _steady(built: Built, row: dict[str, Any]) -> Steady | None:
    """The steady state of a cell; None where prompts come faster than they can be prefilled."""
    assert built.prompts is not None
    assert not isinstance(built.prices, Post)
    asked, prices = built.prompts, built.prices
    traffic = Traffic.of(
        prompts=asked.prompt_tokens, output=asked.output_tokens, tokens_per_step=row["tokens_per_step"]
    )
    decoding = float(row["distinct_experts"] or 0.0)
    if asked.prefill == "disaggregated":
        alone = prefill.prefill_seconds(prices, int(np.mean(asked.prompt_tokens)), asked.prefill_tokens, built.experts)
        return prefill.disaggregated(traffic, row["batch"], row["step_seconds"], alone)

    def seconds(chunk: Floats) -> Floats:
        left = 1 - (1 - built.top_k / max(built.experts, 1)) ** chunk
        at = (row["batch"], row["draft_length"], row["context_tokens"])
        mixed, alone = (
            prefill.mixed_seconds(prices, *at, tokens, np.mean(asked.prompt_tokens) / 2, distinct)
            for tokens, distinct in ((chunk, decoding + (built.experts - decoding) * left), (0.0, decoding))
        )
        return np.asarray(row["step_seconds"] + mixed - alone, np.float64)

    try:
        return prefill.chunked(traffic, row["batch"], asked.prefill_tokens, seconds)
    except InputError:
        return None
