"""Signed webhooks to the platform's own systems."""
