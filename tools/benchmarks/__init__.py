"""Benchmarks of ``tools/benchmark.py``, one a module."""
