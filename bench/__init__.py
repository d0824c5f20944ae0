"""Benchmarks, run by hand on a quiet machine; each prints a table."""
