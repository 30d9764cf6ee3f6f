"""Polya urns: draws from a random popularity that is never formed.

Draws from q ~ Dirichlet(c p), with q integrated out, are those of an urn (Blackwell and MacQueen, Annals of
Statistics 1(2), 1973): after i draws the next one is new from p with probability c / (c + i), else a copy of one of
the i, each as likely. That costs the same for 32 experts and for 512. If p is itself such a popularity, new draws
come from its urn, which then holds only these (Teh et al., JASA 101(476), 2006: the Chinese restaurant franchise).

One urn per lane (a layer of a request). Its draws lie side by side; one that is full keeps what it has.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

BELOW_ONE = 1 - 2.0**-24  # the largest float32 below 1


class Urn(NamedTuple):
    """drawn [lanes * (room + 1)]: the draws of each lane, the first held [requests, layers] of which count."""

    drawn: jax.Array
    held: jax.Array

    @classmethod
    def empty(cls, lanes: tuple[int, int], room: int, experts: int) -> "Urn":
        """Urns [requests, layers] with `room` for draws each (0: urns that are not used)."""
        kind = jnp.uint8 if experts <= 256 else jnp.uint16
        return cls(jnp.zeros(lanes[0] * lanes[1] * (room + 1) if room else 0, kind), jnp.zeros(lanes, jnp.int32))

    @property
    def _place(self) -> tuple[jax.Array, int]:
        """Where each lane begins [requests, layers], and how many draws it has room for."""
        stride = self.drawn.size // self.held.size
        return jnp.arange(self.held.size).reshape(self.held.shape) * stride, stride - 1

    def draw(self, concentration: jax.Array, uniform: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(whether the next draw is new, which expert it copies if not, what is left of `uniform` if it is)."""
        new = concentration / (concentration + self.held)
        along = (uniform - new) / jnp.maximum(1 - new, 1e-9)
        which = jnp.clip((along * self.held).astype(jnp.int32), 0, jnp.maximum(self.held - 1, 0))
        copy = self.drawn[self._place[0] + which].astype(jnp.int32)
        return uniform < new, copy, jnp.minimum(uniform / new, BELOW_ONE)

    def keep(self, expert: jax.Array, where: jax.Array) -> "Urn":
        """The urns after the draw of `expert` [requests, layers], in the lanes `where` it was made."""
        lane, room = self._place
        drawn = self.drawn.at[lane + self.held].set(
            expert.astype(self.drawn.dtype), mode="promise_in_bounds", unique_indices=True, indices_are_sorted=True
        )  # where no draw was made, the next one overwrites it
        return Urn(drawn, jnp.minimum(self.held + where, room))

    def emptied(self, where: jax.Array) -> "Urn":
        """The urns of another popularity from here on, in the lanes `where` it changes."""
        return self._replace(held=jnp.where(where, 0, self.held))


def split(uniform: jax.Array, chance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(true with probability `chance`, a number that is uniform again given what was decided)."""
    yes = uniform < chance
    within = jnp.where(yes, uniform, uniform - chance)
    return yes, jnp.minimum(within / jnp.maximum(jnp.where(yes, chance, 1 - chance), 1e-9), BELOW_ONE)
