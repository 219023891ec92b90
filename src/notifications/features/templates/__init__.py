"""Templates: written, tried, published, previewed. See docs/templates.md."""
