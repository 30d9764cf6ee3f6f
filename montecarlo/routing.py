"""Topical-sticky routing: which experts each token of a request uses, layer by layer.

Each part has parameters per layer (what real traces show: docs/model.md):

    popularity p      weights of the experts over all traffic
    topic q           one request's own popularity, q ~ Dirichlet(concentration p); infinite concentration: q = p
    section q'        that of a stretch of its text, q' ~ Dirichlet(section_concentration q): the slow part. A section
                      ends after each token with probability 1 / section_tokens, in all layers at once
    background b      share of draws from p itself, whatever the topic
    stickiness s      each of the top_k slots keeps the previous token's expert with probability s: the fast part

A token draws candidates one by one until top_k distinct ones are found (sampling without replacement in
proportion to q: Plackett-Luce, what Gumbel top-k does). Candidate m is slot m of the previous token with
probability s (m < top_k), else from p with probability b, else a draw from q'. Uniform routing is p = 1/E alone.

q and q' are never formed (montecarlo/urn.py). Every expert first appears as a draw from p, so the experts of one
token follow p whatever the other parts: these change overlap, not load. The time to the end of a section does not
depend on its age, so a window may begin anywhere. Its first token is drawn afresh, so stickiness is not quite
stationary: with the gpt-oss-20b profile, windows of 8 tokens that start 16 tokens later hold as many experts within
the .1 % that could be seen.

Group-limited routing (DeepSeek-V3, arXiv 2412.19437, section 2.1.2: a token's experts lie in 4 of 8 groups) rejects
candidates that would open one group too many. V3 picks the groups by the sum of their two best affinities; here
they are those of the token's first experts, which keeps sticky ones.

A window may leave its text: from `break_at` on its tokens are drafts that were rejected. They start afresh
at another place of the same request (same q, another section) or in another request (another q).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from montecarlo.errors import InputError
from montecarlo.keys import unit
from montecarlo.urn import Urn, split

SECTION = 1 << 20  # word of a token that says whether a section ends there; its candidates are never that many
ROOM = 4096  # draws an urn keeps; more would say no more about q


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "accept",
        "alias",
        "concentration",
        "background",
        "section_concentration",
        "section_end",
        "stickiness",
    ],
    meta_fields=["top_k", "topical", "sectional", "groups", "top_groups"],
)
@dataclass(frozen=True)
class Routing:
    """A routing process of L layers and E experts.

    accept, alias [L, E]: Walker's alias tables of the popularity (Walker, ACM TOMS 3(3), 1977).
    concentration, background, section_concentration, stickiness [L]; section_end: 1 / section_tokens. top_k, whether
    there are topics and sections, and the groups a token may use are static.
    """

    accept: jax.Array
    alias: jax.Array
    concentration: jax.Array
    background: jax.Array
    section_concentration: jax.Array
    section_end: jax.Array
    stickiness: jax.Array
    top_k: int
    topical: bool
    sectional: bool
    groups: int = 1
    top_groups: int = 1

    @classmethod
    def of(
        cls,
        *,
        popularity: ArrayLike,
        top_k: int,
        concentration: ArrayLike = np.inf,
        background: ArrayLike = 0.0,
        section_concentration: ArrayLike = np.inf,
        section_tokens: float = np.inf,
        stickiness: ArrayLike = 0.0,
    ) -> "Routing":
        """Build a process from `popularity` [L, E] (weights of any scale), section_tokens, and the rest [L] or scalar.

        Raises InputError where one is out of its range, or a token could hardly find top_k distinct experts.
        """
        shares = np.asarray(popularity, np.float64)
        if shares.ndim != 2 or not np.all(np.isfinite(shares)) or shares.min() <= 0:
            raise InputError("popularity must be [layers, experts] with positive, finite shares")
        layers, experts = shares.shape
        if not 1 <= top_k <= experts:
            raise InputError(f"top_k is {top_k} of {experts} experts; it must be between 1 and the number of experts")
        topic, section = (
            np.broadcast_to(np.asarray(value, np.float64), (layers,))
            for value in (concentration, section_concentration)
        )
        common, sticky = (
            np.broadcast_to(np.asarray(value, np.float64), (layers,)) for value in (background, stickiness)
        )
        for name, value in (("concentration", topic), ("section_concentration", section)):
            if not np.all(value >= 0.5):
                raise InputError(
                    f"{name} must be positive and at least 0.5 (infinite: no topics), and it is {value.min():g}: "
                    "below, a request has too few experts for the distinct ones of a token"
                )
        if not section_tokens >= 1:
            raise InputError(f"section_tokens is {section_tokens:g}; a section holds 1 token or more on average")
        if top_k > 1 and np.any(1 - np.sort(shares / shares.sum(axis=1, keepdims=True))[:, -top_k + 1 :].sum(1) < 1e-3):
            raise InputError(
                f"popularity leaves less than 0.1 % to the experts after the {top_k - 1} most popular; "
                f"a token needs {top_k} distinct ones"
            )
        for name, value in (("background", common), ("stickiness", sticky)):
            if not np.all((value >= 0) & (value <= 1)):
                raise InputError(f"{name} is {value.min():g} to {value.max():g}; a probability is between 0 and 1")
        tables = [alias_table(row / row.sum()) for row in shares]
        return cls(
            accept=jnp.asarray(np.stack([accept for accept, _ in tables]), jnp.float32),
            alias=jnp.asarray(np.stack([alias for _, alias in tables]), jnp.int32),
            concentration=jnp.asarray(np.minimum(topic, 1e30), jnp.float32),
            background=jnp.asarray(common, jnp.float32),
            section_concentration=jnp.asarray(np.minimum(section, 1e30), jnp.float32),
            section_end=jnp.asarray(1 / section_tokens, jnp.float32),
            stickiness=jnp.asarray(sticky, jnp.float32),
            top_k=int(top_k),
            topical=bool(np.any(np.isfinite(topic)) or np.any(np.isfinite(section))),
            sectional=bool(np.any(np.isfinite(section))),
        )

    def limited(self, groups: int, top_groups: int) -> "Routing":
        """The same process with a token's experts in at most `top_groups` of `groups` equal groups."""
        experts = self.accept.shape[1]
        if not 1 <= top_groups <= groups <= 32 or experts % groups or self.top_k > top_groups * (experts // groups):
            raise InputError(
                f"{top_groups} of {groups} groups of {experts} experts, top_k {self.top_k}: at most 32 groups, which "
                "must divide the experts, and the chosen ones hold top_k of them"
            )
        return replace(self, groups=groups, top_groups=top_groups)

    def popularity(self) -> np.ndarray:
        """Shares of a token's first expert [L, E], float64: bin b is kept with accept[b], else alias[b] is taken."""
        accept, alias = np.asarray(self.accept, np.float64), np.asarray(self.alias)
        shares = accept.copy()
        rows = np.broadcast_to(np.arange(len(alias))[:, None], alias.shape)
        np.add.at(shares, (rows, alias), 1 - accept)
        return shares / accept.shape[1]


def alias_table(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's tables: bin b is drawn uniformly, kept with accept[b], else alias[b] is taken."""
    accept, alias = np.ones(len(shares)), np.arange(len(shares))
    scaled = shares * len(shares)
    small = [e for e in range(len(shares)) if scaled[e] < 1]
    large = [e for e in range(len(shares)) if scaled[e] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        accept[low], alias[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return accept, alias


class _Token(NamedTuple):
    """One token on its way, candidate by candidate: experts [top_k, R, L] (-1: none yet), how many were found.

    groups: those in use as bits, [R, L], or [0] where they are not limited.
    """

    experts: jax.Array
    found: jax.Array
    groups: jax.Array
    request: Urn
    section: Urn
    candidate: jax.Array


@partial(jax.jit, static_argnames=("tokens", "requests", "elsewhere"))
def sample(
    routing: Routing,
    key: jax.Array,
    break_at: jax.Array,
    *,
    tokens: int,
    requests: int,
    elsewhere: bool = False,
) -> jax.Array:
    """Sample experts [tokens, top_k, requests, layers] (int32) of one window per request.

    break_at [requests]: the first position of the rejected tail (>= tokens: none). elsewhere: the tail is in
    another request rather than in another place of the same one.
    """
    layers, experts = routing.accept.shape
    lanes, top_k, limited = (requests, layers), routing.top_k, routing.top_groups < routing.groups
    row = (jnp.arange(layers) * experts)[None, :]
    accept, alias = routing.accept.reshape(-1), routing.alias.reshape(-1)
    request_break = break_at[:, None]

    def from_popularity(uniform: jax.Array) -> jax.Array:
        scaled = uniform * experts
        which = jnp.minimum(scaled.astype(jnp.int32), experts - 1)
        return jnp.where(scaled - which < accept[which + row], which, alias[which + row])

    def from_topics(uniform: jax.Array, request: Urn, section: Urn, made: jax.Array) -> tuple[jax.Array, Urn, Urn]:
        common, uniform = split(uniform, routing.background[None, :])
        plain, made = uniform, made & ~common
        asked = made
        if routing.sectional:
            new, said, uniform = section.draw(routing.section_concentration[None, :], uniform)
            asked = made & new
        fresh, copy, uniform = request.draw(routing.concentration[None, :], uniform)
        drawn = jnp.where(fresh | common, from_popularity(jnp.where(common, plain, uniform)), copy)
        request = request.keep(drawn, asked)
        if routing.sectional:
            drawn = jnp.where(new | common, drawn, said)
            section = section.keep(drawn, made)
        return drawn, request, section

    def token(carry: tuple[Urn, Urn, jax.Array], position: jax.Array) -> tuple[tuple[Urn, Urn, jax.Array], jax.Array]:
        request, section, previous = carry
        token_key = jax.random.fold_in(key, position)
        leaves = position == request_break
        if elsewhere:
            request = request.emptied(leaves)
        if routing.sectional:
            ends = unit(jax.random.fold_in(token_key, SECTION), (requests,)) < routing.section_end
            section = section.emptied(leaves | ends[:, None])
        keep = jnp.where((position == 0) | leaves, 0.0, routing.stickiness[None, :])

        def one_more(state: _Token) -> _Token:
            slot = state.candidate
            uniform = jax.lax.optimization_barrier(unit(jax.random.fold_in(token_key, slot), lanes))
            chance = jnp.where(slot < top_k, keep, 0.0)
            sticky, rest = split(uniform, chance)
            lacking = state.found < top_k
            request, section = state.request, state.section
            if routing.topical:
                made = (slot < top_k) | lacking
                drawn, request, section = from_topics(rest, request, section, made)
            else:
                drawn = from_popularity(rest)
            before = jax.lax.dynamic_index_in_dim(previous, jnp.minimum(slot, top_k - 1), 0, keepdims=False)
            expert = jax.lax.optimization_barrier(jnp.where(sticky, before, drawn))
            new = lacking & ~jnp.any(state.experts == expert[None], axis=0)
            used = state.groups
            if limited:
                opened = used | (jnp.uint32(1) << (expert // (experts // routing.groups)).astype(jnp.uint32))
                new &= jax.lax.population_count(opened) <= routing.top_groups
                used = jnp.where(new, opened, used)
            here = (jnp.arange(top_k)[:, None, None] == state.found[None]) & new[None]
            chosen = jnp.where(here, expert[None], state.experts)
            return _Token(chosen, state.found + new, used, request, section, slot + 1)

        nothing = jnp.full((top_k, *lanes), -1, jnp.int32)
        no_groups = jnp.zeros(lanes if limited else 0, jnp.uint32)
        state = _Token(nothing, jnp.zeros(lanes, jnp.int32), no_groups, request, section, jnp.int32(0))
        state = jax.lax.while_loop(
            lambda state: (state.candidate < top_k) | jnp.any(state.found < top_k), one_more, state
        )
        return (state.request, state.section, state.experts), state.experts

    room = min(tokens * 8 * top_k, ROOM)
    request, section = (Urn.empty(lanes, room * used, experts) for used in (routing.topical, routing.sectional))
    first = jnp.zeros((top_k, *lanes), jnp.int32)
    return jax.lax.scan(token, (request, section, first), jnp.arange(tokens))[1]
