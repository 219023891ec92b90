"""The console: pages for members of staff. See docs/console.md."""
