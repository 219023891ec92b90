"""Runs the engine's own code under a seeded scheduler: every interleaving can be repeated."""

from __future__ import annotations

SETTINGS = {
    "email_provider": "smtp",
    "lease_seconds": "5",
    "provider_timeout_seconds": "15",
    "poll_seconds": "10",
    "rate_limits": "smtp=off",
    "database_lock_timeout_seconds": "0.5",
    "log_level": "ERROR",
}
"""The settings of a run, without their CARILLON_. Polls are rare, because each costs real time."""
