"""Launches, retries, cancels and counts broadcasts. See docs/broadcasts.md."""
