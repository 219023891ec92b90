"""Stage: what a caller may ask, and the one transaction that takes it in."""
