"""Campaigns whose hours or channels are learned of each person. See docs/send-time.md."""
