"""Where messages come from: broadcasts and series."""
