"""The checkable claims of the post, of its audit and of the discussion around it: claimed, computed, held or not.

Every verdict is a predicate over one computed number, so a changed constant can turn it (tests do).
(Post and charts: github.com/fergusfinn/fergusfinn.github.io@ba95c791, economics-of-speculative-decoding.mdx.)
"""

import polars as pl

from studies.claims import attention, audit, charts, constants, discussion
from studies.claims.claim import Claim, Inputs
from studies.columns import CLAIMS


def claims(given: Inputs | None = None) -> list[Claim]:
    """All claims, in the order of the post; `given` replaces what they are computed from."""
    inputs = given or Inputs.published()
    return [
        *constants.claims(inputs),
        *attention.claims(inputs),
        *charts.claims(inputs),
        *audit.claims(inputs),
        *discussion.claims(inputs),
    ]


def frame(given: Inputs | None = None) -> pl.DataFrame:
    """One row per claim, columns of CLAIMS."""
    return pl.DataFrame([claim.row() for claim in claims(given)], schema=CLAIMS)
