"""Errors, commits and the clock of the database, and reads with a time limit."""
