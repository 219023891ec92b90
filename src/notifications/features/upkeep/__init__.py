"""What processes do periodically: every loop, and the deletion of what has expired."""
