"""Benchmarks: each `run(**options)` measures against a baseline in the same run.

The figures are kept in docs/benchmarks.md with the command and the machine's size.
"""
