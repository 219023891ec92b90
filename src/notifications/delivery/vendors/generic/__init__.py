"""Vendors and gateways that can sign by Standard Webhooks."""
