"""Benchmarks of the web process: at steady rates, under the platform's load, and for long."""
