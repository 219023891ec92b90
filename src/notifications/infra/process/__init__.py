"""Processes: their names, supervised threads, and wake-ups between them."""
