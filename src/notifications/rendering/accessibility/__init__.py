"""Checks mails for people who hear them, enlarge them or see few colours. It needs no settings."""
