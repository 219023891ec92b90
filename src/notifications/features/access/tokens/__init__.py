"""Issues, renews and ends tokens."""
