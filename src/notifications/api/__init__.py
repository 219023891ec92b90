"""The REST doors. routes.py is the one list of them; handlers speak to features alone.

See docs/reference/api.md, which is made from the list.
"""
