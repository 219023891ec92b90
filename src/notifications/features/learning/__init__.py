"""Learns at which hours and on which channels people engage. See docs/send-time.md."""
