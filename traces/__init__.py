"""Traces: the only reader and writer of what engines record, and the profiles fitted to it."""
