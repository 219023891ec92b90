"""What the two databases say differently of an audience."""
