"""Pure Monte Carlo core of draftodds: numbers and arrays in, arrays out; jax, numpy and scipy only."""
