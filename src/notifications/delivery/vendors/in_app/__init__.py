"""The inbox: a row of our own database."""
