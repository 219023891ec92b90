"""The rules of sign-in, and its rows: what the check of every token reads."""
