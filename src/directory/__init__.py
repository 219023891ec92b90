"""People and the addresses that reach them. This app never imports the notifications app.

See docs/architecture.md.
"""
