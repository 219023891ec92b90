"""Stage: validates the requests of callers, and accepts each in one transaction."""
