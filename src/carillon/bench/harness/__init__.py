"""What benchmarks stand on: a database of their own, child processes, baselines."""
