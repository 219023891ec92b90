"""Seals what an older release stored readably, or under the service's key."""
