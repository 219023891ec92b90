"""Backups: two archives, of the main database and of the key store, and their restore."""
