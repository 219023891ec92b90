"""Broadcasts, campaigns, series and A/B tests."""
