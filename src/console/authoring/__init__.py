"""Templates: what is published, an editor, previews, versions. See docs/console.md."""
