"""Notifications that are sent at a later time, once or as a series."""
