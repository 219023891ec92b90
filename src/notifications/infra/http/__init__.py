"""HTTP out, bounded in time and size, and the walls around it."""
