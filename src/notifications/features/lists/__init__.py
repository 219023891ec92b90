"""Mailing lists: who is on them, how people join and leave, their archives. See docs/lists.md."""
