"""What operators work with, and the state of periodic work."""
