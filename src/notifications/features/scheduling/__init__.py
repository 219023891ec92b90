"""Texts that are sent at a time to come: once or as a series."""
