"""The false positives and the power of A/B tests, by simulation. See docs/experiments.md."""
