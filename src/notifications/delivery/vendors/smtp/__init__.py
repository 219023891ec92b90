"""An SMTP server: email."""
