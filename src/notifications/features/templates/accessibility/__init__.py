"""Checks mails for people who hear them, enlarge them or see few colours. See docs/templates.md."""
