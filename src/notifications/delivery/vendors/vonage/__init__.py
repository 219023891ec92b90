"""Vonage: SMS through its Messages API."""
