"""Puts what keeps people from reading mails into warnings. See docs/templates.md."""
