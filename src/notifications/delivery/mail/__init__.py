"""Mails as bytes, and SMTP on the wire. See docs/email.md."""
