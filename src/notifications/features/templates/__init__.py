"""Templates: write, review, publish and preview them. See docs/templates.md."""
