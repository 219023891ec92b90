"""Rooms of a web process: who has joined them, what they get, and who is connected."""
