"""The providers: their channels, accounts, circuit breakers and rate limits."""
