"""Benchmarks: each measure beside its peer, alternating, in one process run."""
