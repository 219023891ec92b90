"""Runs the engine's own code under a seeded scheduler: every interleaving can be repeated."""

from __future__ import annotations

SETTINGS = {
    "email_provider": "smtp",
    "lease_seconds": "5",
    "provider_timeout_seconds": "15",
    "poll_seconds": "10",
    "breaker_open_seconds": "20",
    "rate_limits": "smtp=off",
    "database_lock_timeout_seconds": "0.5",
    "log_level": "ERROR",
}
"""The settings of a run, without their CARILLON_. Polls are rare, because each costs real time.

A circuit breaker opens for a short time, but for longer than a lease and a time-out: while a run
only waits for it, each virtual second costs thirty steps.
"""
