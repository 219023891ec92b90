"""Retracts and amends what was sent, where it can still be reached."""
