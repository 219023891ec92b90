"""Authentication, permissions, API keys, idempotency and throttles."""
