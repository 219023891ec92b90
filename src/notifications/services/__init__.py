"""Use cases: one class a noun, keyword-only methods. Doors speak to these and to nothing below."""
