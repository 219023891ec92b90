"""Preferences and consents of users, and the signed links that change them."""
