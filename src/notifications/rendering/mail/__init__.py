"""Compiles the HTML of mails: MJML, stylesheets, tags, and skeletons with marks."""
