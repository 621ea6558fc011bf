"""CPU time of each hot path beside two plain Flask views, in one run: ``python -m benchmarks``."""
