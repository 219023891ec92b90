"""Sends: to one person or many; cancelled, moved, explained, simulated. See docs/sending.md."""
