"""Records and people out of CSV and NDJSON lines."""
