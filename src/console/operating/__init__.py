"""Stops, dead letters, queues and providers."""
