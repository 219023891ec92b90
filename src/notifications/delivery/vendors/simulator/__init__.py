"""The simulator: addresses for which no vendor is called."""
