"""Builds mails as bytes. See docs/email.md."""
