"""A/B tests: their lifecycle, who gets which text, results, and the automatic winner.

See docs/ab-tests.md.
"""
