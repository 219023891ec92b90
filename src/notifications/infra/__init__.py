"""Infrastructure: clock, keys, wake-ups, Redis, HTTP, telemetry. It imports no models or stages."""
