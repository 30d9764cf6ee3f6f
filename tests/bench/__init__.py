"""Benchmarks: `make bench` prints figures, never asserts them. Ratios of one run; the machine may be shared."""
