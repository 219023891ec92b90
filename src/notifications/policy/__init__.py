"""Stage: decides whether, when and why not. Facts are loaded for a slice; the decision is pure.

See docs/life-of-a-notification.md.
"""
