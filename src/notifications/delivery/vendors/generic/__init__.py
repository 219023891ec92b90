"""Vendors and gateways that can be taught to sign by Standard Webhooks."""
