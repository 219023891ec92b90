"""Reads records and people from CSV and NDJSON lines."""
