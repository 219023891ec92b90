"""Exports everything that is stored about a person, as JSON or as one page."""
