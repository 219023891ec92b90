"""Webhooks of the platform's own systems."""
