"""The counts of messages, goals, and the events of people."""
