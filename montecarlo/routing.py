"""Topical-sticky routing: which experts each token of a request uses, layer by layer.

Three parts, each with parameters per layer (what real traces show: docs/model.md):

    popularity p      shares of the experts over all traffic
    topic q           one request's own popularity, q ~ Dirichlet(concentration p); infinite concentration: q = p
    stickiness s      each of the top_k slots keeps the previous token's expert with probability s

A token draws candidates one by one until top_k distinct ones are found (sampling without replacement in
proportion to q: Plackett-Luce, what Gumbel top-k does). Candidate m is slot m of the previous token with
probability s (m < top_k), else a draw from q. Uniform routing is p = 1/E without topic and stickiness.
A window's first token is drawn afresh, so stickiness is not quite stationary: with the gpt-oss-20b profile, windows
of 8 tokens that start 16 tokens later hold 0.3 % fewer experts.

Group-limited routing (DeepSeek-V3, arXiv 2412.19437, section 2.1.2: a token's experts lie in 4 of 8 groups) rejects
candidates that would open one group too many. V3 picks the groups by the sum of their two best affinities; here
they are those of the token's first experts, which keeps sticky ones.

q is never formed. With q integrated out, draws from it are a Polya urn (Blackwell and MacQueen, Annals of
Statistics 1(2), 1973): after i draws the next one is new from p with probability c / (c + i), else a copy of
one of the i, each as likely. That costs the same for 32 experts and for 512.

A window may leave its text: from `break_at` on its tokens are drafts that were rejected. They start afresh
at another place of the same request (same urn) or in another request (a new urn).
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

BELOW_ONE = 1 - 2.0**-24  # the largest float32 below 1


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["accept", "alias", "concentration", "stickiness"],
    meta_fields=["top_k", "topical", "groups", "top_groups"],
)
@dataclass(frozen=True)
class Routing:
    """A routing process of L layers and E experts.

    accept, alias [L, E]: Walker's alias tables of the popularity (Walker, ACM TOMS 3(3), 1977).
    concentration, stickiness [L]. top_k, whether there are topics, and the groups a token may use are static.
    """

    accept: jax.Array
    alias: jax.Array
    concentration: jax.Array
    stickiness: jax.Array
    top_k: int
    topical: bool
    groups: int = 1
    top_groups: int = 1

    @classmethod
    def of(
        cls,
        *,
        popularity: ArrayLike,
        top_k: int,
        concentration: ArrayLike = np.inf,
        stickiness: ArrayLike = 0.0,
    ) -> "Routing":
        """Build a process from `popularity` [L, E] (any scale), `concentration` and `stickiness` [L] or scalar."""
        shares = np.asarray(popularity, np.float64)
        if shares.ndim != 2 or not np.all(np.isfinite(shares)) or shares.min() <= 0:
            raise InputError("popularity must be [layers, experts] with positive, finite shares")
        layers, experts = shares.shape
        if not 1 <= top_k <= experts:
            raise InputError(f"top_k is {top_k} of {experts} experts; it must be between 1 and the number of experts")
        topic = np.broadcast_to(np.asarray(concentration, np.float64), (layers,))
        sticky = np.broadcast_to(np.asarray(stickiness, np.float64), (layers,))
        if not np.all(topic >= 0.5):
            raise InputError(
                f"concentration must be positive and at least 0.5 (infinite: no topics), and it is {topic.min():g}: "
                "below, a request has too few experts for the distinct ones of a token"
            )
        if top_k > 1 and np.any(1 - np.sort(shares / shares.sum(axis=1, keepdims=True))[:, -top_k + 1 :].sum(1) < 1e-3):
            raise InputError(
                f"popularity leaves less than 0.1 % to the experts after the {top_k - 1} most popular; "
                f"a token needs {top_k} distinct ones"
            )
        if not np.all((sticky >= 0) & (sticky <= 1)):
            raise InputError(f"stickiness is {sticky.min():g} to {sticky.max():g}; a probability is between 0 and 1")
        tables = [alias_table(row / row.sum()) for row in shares]
        return cls(
            accept=jnp.asarray(np.stack([accept for accept, _ in tables]), jnp.float32),
            alias=jnp.asarray(np.stack([alias for _, alias in tables]), jnp.int32),
            concentration=jnp.asarray(np.minimum(topic, 1e30), jnp.float32),
            stickiness=jnp.asarray(sticky, jnp.float32),
            top_k=int(top_k),
            topical=bool(np.any(np.isfinite(topic))),
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


class _Urn(NamedTuple):
    """All draws from q so far, in the order they were made, lane by lane.

    drawn [tokens, kept + 1, R, L]: the candidates of each token, the first count[token] of which were drawn in
    that lane. before [tokens, R, L]: draws before each token (a huge number for tokens to come). held [R, L]:
    draws in all. since [R, L]: those before it are another request's.
    """

    drawn: jax.Array
    before: jax.Array
    held: jax.Array
    since: jax.Array


class _Token(NamedTuple):
    """One token on its way, candidate by candidate: experts [top_k, R, L] (-1: none yet), how many were found.

    groups: those in use as bits, [R, L], or [0] where they are not limited.
    """

    experts: jax.Array
    found: jax.Array
    groups: jax.Array
    urn: _Urn
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
    kept = 8 * top_k  # candidates of a token that the urn keeps; a lane that needs more forgets the excess
    lane = jnp.arange(requests * layers).reshape(lanes)
    row = (jnp.arange(layers) * experts)[None, :]
    accept, alias = routing.accept.reshape(-1), routing.alias.reshape(-1)
    concentration, stickiness = routing.concentration[None, :], routing.stickiness[None, :]
    request_break = break_at[:, None]

    def from_popularity(uniform: jax.Array) -> jax.Array:
        scaled = uniform * experts
        which = jnp.minimum(scaled.astype(jnp.int32), experts - 1)
        return jnp.where(scaled - which < accept[which + row], which, alias[which + row])

    def from_topic(uniform: jax.Array, urn: _Urn) -> jax.Array:
        own = urn.held - urn.since
        new = concentration / (concentration + own)
        along = (uniform - new) / jnp.maximum(1 - new, 1e-9)
        which = urn.since + jnp.clip((along * own).astype(jnp.int32), 0, jnp.maximum(own - 1, 0))
        reached = urn.before <= which[None]
        of_token = jnp.sum(reached, axis=0) - 1
        place = which - jnp.max(jnp.where(reached, urn.before, 0), axis=0)
        copy = urn.drawn.reshape(-1)[(of_token * (kept + 1) + place) * (requests * layers) + lane].astype(jnp.int32)
        return jnp.where(uniform < new, from_popularity(jnp.minimum(uniform / new, BELOW_ONE)), copy)

    def keep_in(urn: _Urn, drawn: jax.Array, position: jax.Array, slot: jax.Array, lacking: jax.Array) -> _Urn:
        at = (position, jnp.minimum(slot, kept), 0, 0)
        return urn._replace(
            drawn=jax.lax.dynamic_update_slice(urn.drawn, drawn.astype(urn.drawn.dtype)[None, None], at),
            held=urn.held + ((slot < top_k) | (lacking & (slot < kept))),
        )

    def token(carry: tuple[_Urn, jax.Array], position: jax.Array) -> tuple[tuple[_Urn, jax.Array], jax.Array]:
        urn, previous = carry
        urn = urn._replace(before=jax.lax.dynamic_update_index_in_dim(urn.before, urn.held, position, 0))
        token_key = jax.random.fold_in(key, position)
        leaves = position == request_break
        if elsewhere:
            urn = urn._replace(since=jnp.where(leaves, urn.held, urn.since))
        keep = jnp.where((position == 0) | leaves, 0.0, stickiness)

        def one_more(state: _Token) -> _Token:
            slot = state.candidate
            uniform = jax.lax.optimization_barrier(unit(jax.random.fold_in(token_key, slot), lanes))
            chance = jnp.where(slot < top_k, keep, 0.0)
            sticky = uniform < chance
            within = jnp.where(sticky, uniform, uniform - chance)  # uniform again, given what was decided
            rest = jnp.minimum(within / jnp.maximum(jnp.where(sticky, chance, 1 - chance), 1e-9), BELOW_ONE)
            drawn = from_topic(rest, state.urn) if routing.topical else from_popularity(rest)
            lacking = state.found < top_k
            urn = keep_in(state.urn, drawn, position, slot, lacking) if routing.topical else state.urn
            before = jax.lax.dynamic_index_in_dim(previous, jnp.minimum(slot, top_k - 1), 0, keepdims=False)
            expert = jax.lax.optimization_barrier(jnp.where(sticky, before, drawn))
            new = lacking & ~jnp.any(state.experts == expert[None], axis=0)
            used = state.groups
            if limited:
                opened = used | (jnp.uint32(1) << (expert // (experts // routing.groups)).astype(jnp.uint32))
                new &= jax.lax.population_count(opened) <= routing.top_groups
                used = jnp.where(new, opened, used)
            here = (jnp.arange(top_k)[:, None, None] == state.found[None]) & new[None]
            return _Token(jnp.where(here, expert[None], state.experts), state.found + new, used, urn, slot + 1)

        nothing = jnp.full((top_k, *lanes), -1, jnp.int32)
        no_groups = jnp.zeros(lanes if limited else 0, jnp.uint32)
        state = _Token(nothing, jnp.zeros(lanes, jnp.int32), no_groups, urn, jnp.int32(0))
        state = jax.lax.while_loop(
            lambda state: (state.candidate < top_k) | jnp.any(state.found < top_k), one_more, state
        )
        return (state.urn, state.experts), state.experts

    size = tokens if routing.topical else 0
    urn = _Urn(
        drawn=jnp.zeros((size, kept + 1, *lanes), jnp.uint8 if experts <= 256 else jnp.uint16),
        before=jnp.full((tokens, *lanes), np.iinfo(np.int32).max),
        held=jnp.zeros(lanes, jnp.int32),
        since=jnp.zeros(lanes, jnp.int32),
    )
    first = jnp.zeros((top_k, *lanes), jnp.int32)
    return jax.lax.scan(token, (urn, first), jnp.arange(tokens))[1]
