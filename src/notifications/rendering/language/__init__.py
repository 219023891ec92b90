"""The template language: the sandbox, its limits and filters, and the parsing of sources."""
