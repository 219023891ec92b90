"""The search for people, and the page of one person."""
