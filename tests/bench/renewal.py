"""Renewal selection: processes fitted to a chain drafter's hazards by depth, compared with its fall of position 1.

Run as `python -m tests.bench.renewal [draws]`. Hazards by depth 1..7 and position-1 acceptance at k = 1 and k = 10
are those of a chain drafter for Llama-3.1-8B on three data sets; lag-1 autocorrelations of accepted drafts within
requests are published for chains as a range, 0.075 to 0.22. The hazards and that range are fitted, the fall is
compared. Draws of a broad prior walk over the same texts at k = 10, and are weighted by their hazards, each met to
0.02, and by the lag-1 autocorrelation's distance from the range, 0.02 too (one sd).

The prior: uniform offset 0.2..2.0 from depth 2 on, more by an exponential of mean 0.3 at depth 1 (the first draft is
made from the target's own features), fall exponential of mean 0.1, uniform request_sd 0..0.8, short_sd 0..2, slow_sd
0..1.5, short_tokens 1..12 and slow_tokens 15..200, these two in the logarithm.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from montecarlo.difficulty import Difficulty, paths, runs_along
from montecarlo.keys import Stream, generator, key

# hazards under the walk, published position-1 acceptance at k = 1 and k = 10
CHAINS = {
    "GSM8K": ((0.663, 0.645, 0.633, 0.653, 0.621, 0.649, 0.650), 0.699, 0.662),
    "ShareGPT": ((0.597, 0.586, 0.638, 0.686, 0.728, 0.751, 0.755), 0.661, 0.593),
    "InstructCoder": ((0.594, 0.627, 0.685, 0.741, 0.764, 0.800, 0.783), 0.681, 0.588),
}
LAG_ONE = (0.075, 0.22)
MET, FAR, REQUESTS, TOKENS, AT_ONCE = 0.02, 10, 128, 512, 30


State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


@jax.jit
def walked(processes: Difficulty, stream: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of walks [processes]: position-1 acceptance at k = 1; at k = FAR survival [processes, FAR] and lag-1."""
    key_path, key_coin = jax.random.split(stream)

    def visited(run: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
        def token(state: State, run: jax.Array) -> tuple[State, None]:
            still, reached, sums, before = state
            starts = still == 0
            accepted = jnp.minimum(run, length)
            at_least = starts[:, None] & (accepted[:, None] >= jnp.arange(length + 1))
            pair = starts & (before >= 0)
            new = jnp.stack([starts, starts * accepted, starts * accepted**2, pair * accepted * before, pair * before])
            before = jnp.where(starts, accepted, before)
            return (jnp.where(starts, accepted, still - 1), reached + at_least.sum(axis=0), sums + new, before), None

        none = jnp.zeros(run.shape[1], jnp.int32)
        nothing = (none, jnp.zeros(length + 1, jnp.int32), jnp.zeros((5, run.shape[1]), jnp.int32), none - 1)
        _, reached, sums, last = jax.lax.scan(token, nothing, run[:-FAR])[0]
        return reached[1:] / reached[0], _lag_one(sums.astype(jnp.float32), last, run[0])

    def one(process: Difficulty) -> tuple[jax.Array, jax.Array, jax.Array]:
        ease = paths(process, key_path, requests=REQUESTS, tokens=TOKENS)
        run = runs_along(process, ease, key_coin, draft_length=FAR)
        return visited(run, 1)[0][0], *visited(run, FAR)

    return jax.vmap(one)(processes)


def _lag_one(sums: jax.Array, last: jax.Array, first: jax.Array) -> jax.Array:
    """The lag-1 estimator of traces/spread.py from sums [5, requests]: 1, a, a^2, a a', a' (a' before a)."""
    steps, total, squares, products, earlier = sums
    mean = total / steps
    free = jnp.sum(steps - 1)
    variance = jnp.sum(squares - steps * mean**2) / free
    later = total - jnp.minimum(first, FAR)
    crossed = jnp.sum(products - mean * (earlier + later) + (steps - 1) * mean**2)
    return (crossed + variance * jnp.sum((steps - 1) / steps)) / free / variance


def prior(draws: int) -> list[dict[str, float]]:
    """Parameters of `draws` processes."""
    random = generator(11, 0, Stream.SPLIT)
    found = []
    for _ in range(draws):
        fall = random.exponential(0.1)
        later = random.uniform(0.2, 2.0)
        short, slow = (np.exp(random.uniform(*np.log(ends))) for ends in ((1.0, 12.0), (15.0, 200.0)))
        sds = dict(zip(("request_sd", "short_sd", "slow_sd"), random.uniform(0, (0.8, 2.0, 1.5)), strict=True))
        offsets = [later + random.exponential(0.3), later]
        found.append({"offsets": offsets, "fall": fall, "short_tokens": short, "slow_tokens": slow, **sds})
    return found


def main(draws: str = "6000") -> None:
    """Print the fall of each data set, predicted and published, and the best process."""
    theta = prior(int(draws) // AT_ONCE * AT_ONCE)
    walks = []
    for at in range(0, len(theta), AT_ONCE):
        some = [Difficulty.of(**one) for one in theta[at : at + AT_ONCE]]
        walk = walked(jax.tree.map(lambda *leaves: jnp.stack(leaves), *some), key(0, 0, Stream.RUN))
        walks.append([np.asarray(one, np.float64) for one in walk])
    first, reached, lag_one = (np.concatenate(parts) for parts in zip(*walks, strict=True))
    outside = np.maximum(np.maximum(LAG_ONE[0] - lag_one, lag_one - LAG_ONE[1]), 0)
    hazard = (reached / np.maximum(np.concatenate([np.ones((len(reached), 1)), reached[:, :-1]], axis=1), 1e-9))[:, :7]
    fall = first - reached[:, 0]
    for name, (published, near, far) in CHAINS.items():
        log_weight = -0.5 * (np.sum(((hazard - published) / MET) ** 2, axis=1) + (outside / MET) ** 2)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        mean = weight @ fall
        spread = np.sqrt(weight @ (fall - mean) ** 2)
        best = int(np.argmax(weight))
        print(f"{name:<14} fall predicted {mean:.3f} +- {spread:.3f}, published {near - far:.3f}", end="  ")
        print(f"effective draws {1 / np.sum(weight**2):.0f}, lag-1 {weight @ lag_one:.3f}; best draw {fall[best]:.3f}:")
        named = {name: np.round(value, 3).tolist() for name, value in theta[best].items()}
        print(f"    hazards {np.round(hazard[best], 3).tolist()}, {named}")


if __name__ == "__main__":
    main(*sys.argv[1:])
