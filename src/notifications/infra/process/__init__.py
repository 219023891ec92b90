"""Processes: what names them, threads that are supervised, wake-ups between them."""
