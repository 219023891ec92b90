"""The roles of the benchmarks of what is stored for long."""
