"""Stage: writes what became of messages, once, while the fence still holds."""
