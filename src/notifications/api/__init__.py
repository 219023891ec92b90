"""The REST API. routes.py lists its routes; handlers call features only.

See docs/reference/api.md, which is made from the list.
"""
