"""What benchmarks share: an environment with its own database, child processes, baselines."""
