"""Broadcasts: one message from an administrator to an audience. See docs/broadcasts.md."""
