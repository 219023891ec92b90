"""The permission table: each route and each page, and who may call it. See docs/reference."""
