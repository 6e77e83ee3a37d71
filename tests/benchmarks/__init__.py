"""How long Caviar takes beside its peers, whole processes timed: `python -m tests.benchmarks` or `make bench`."""
