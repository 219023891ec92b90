"""SQLite as the embedded service uses it: writers queue at a file lock instead of polling."""
