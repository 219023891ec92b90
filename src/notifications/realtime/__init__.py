"""Follows inboxes live: a hub in each web process, and its transports. See docs/realtime.md."""
