"""Errors, commits and the clock of the database, and reads that end in time."""
