"""Who carries what, by which account, and what their services take now."""
