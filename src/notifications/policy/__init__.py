"""Stage: decides whether and when a message is sent. Facts are loaded for a slice; the decision is
pure.

See docs/life-of-a-notification.md.
"""
