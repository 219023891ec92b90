"""The callbacks of vendors: verified on arrival, read afterwards. Each vendor has one file.

See docs/reference/receipts.md.
"""
