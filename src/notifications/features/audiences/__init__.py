"""Counts and previews of audiences, and saved segments. See docs/audiences.md."""
