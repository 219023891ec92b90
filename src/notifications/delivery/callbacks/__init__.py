"""What vendors call back with: checked at the door, read afterwards. One file a vendor.

See docs/reference/receipts.md.
"""
