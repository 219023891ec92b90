"""The machinery of periodic work: loops, items, and tasks that wait in the database."""
