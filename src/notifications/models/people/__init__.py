"""Preferences and consents of users, and refused sends."""
