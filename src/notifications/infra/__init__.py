"""The ground: clock, keys, wake-ups, Redis, HTTP, telemetry. Knows nothing of models or stages."""
