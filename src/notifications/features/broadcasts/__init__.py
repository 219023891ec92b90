"""Broadcasts: one message from an admin to an audience. See docs/broadcasts.md."""
