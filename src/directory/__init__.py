"""Who people are and how they are reached. Never imports the notifications app.

See docs/architecture.md.
"""
