"""Vonage: SMS by its Messages API."""
