"""Named questions about speculative decoding, their configuration, and the runner that answers them."""
