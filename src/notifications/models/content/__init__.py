"""Categories, templates and their versions."""
