"""Notifications, messages and batches, and the hot statements that write them."""
