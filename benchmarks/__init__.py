"""Benchmarks: ratios against a peer on the same work, side by side in one run. `make bench` runs them."""
