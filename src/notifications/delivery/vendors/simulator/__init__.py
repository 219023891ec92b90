"""The simulator: addresses that no vendor is called for."""
