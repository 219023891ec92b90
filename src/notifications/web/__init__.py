"""HTML pages: landing page, outbox, preferences, unsubscribing, errors; and /metrics."""
