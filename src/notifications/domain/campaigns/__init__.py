"""The rules of campaigns."""
