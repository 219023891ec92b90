"""Benchmarks of what is stored for long: rows that age, and the audit log."""
