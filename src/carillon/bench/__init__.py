"""Benchmarks: each `run(**options)` measures against a baseline in the same run.

docs/benchmarks.md has the figures, with the command and the machine's size.
"""
