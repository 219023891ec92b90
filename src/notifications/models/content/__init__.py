"""What is said: categories, templates and their versions."""
