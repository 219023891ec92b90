"""The first page, and the figures that it updates."""
