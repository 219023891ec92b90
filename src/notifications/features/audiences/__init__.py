"""Who an audience is, and criteria that are kept under a name. See docs/audiences.md."""
