"""The rows of the inbox."""
