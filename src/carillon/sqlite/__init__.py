"""SQLite for the embedded service: writers queue at a file lock instead of polling."""
