"""Counts of messages and engagement: rollups, metrics, reports, goals and conversions."""
