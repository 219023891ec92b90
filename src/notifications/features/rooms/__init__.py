"""Rooms and presence: who may join, who is connected, and what is sent to all of them.

See docs/realtime.md.
"""
