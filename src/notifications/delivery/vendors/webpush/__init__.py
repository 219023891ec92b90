"""The push services of browsers."""
