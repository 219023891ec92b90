"""Sends, cancels, reschedules, explains and simulates notifications. See docs/sending.md."""
